"""`retouch tokens`: create, list and revoke the tokens of organisations in the database."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from retouch.failures import fail
from retouch.opening import chosen_by, load_settings, token_table
from server.http.scopes import Scope
from server.settings import ORGANISATION_PATTERN, Settings
from storage.errors import NameTakenError
from storage.stores import open_stores
from storage.tokens import Token, TokenTable

app = typer.Typer(
    help="Tokens of organisations: they work, or no longer work, from the next request on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._@-]{0,62}[A-Za-z0-9])?")
_DURATION = re.compile(r"([1-9]\d{0,4})([hdw])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_COLUMNS = ("id", "organisation", "name", "scopes", "state", "created", "expires", "last_used")


def _organisation(value: str | None) -> str | None:
    if value is not None and not ORGANISATION_PATTERN.match(value):
        raise typer.BadParameter("an organisation has 1 to 64 characters of A-Z a-z 0-9 _ -")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise typer.BadParameter(
            "a name has 1 to 64 characters of A-Z a-z 0-9 . _ @ - and blanks inside"
        )
    return value


def _expiry(value: str | None) -> datetime | None:
    """Return when a token expires: after a duration such as 12h, 90d or 8w, or at a time."""
    if value is None:
        return None
    now = datetime.now(UTC)
    if match := _DURATION.fullmatch(value):
        return now + int(match[1]) * _UNITS[match[2]]
    try:
        expires = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(
            "write a duration such as 12h, 90d or 8w, or a time such as 2027-01-31",
            param_hint="'--expires'",
        ) from None
    expires = expires.replace(tzinfo=UTC) if expires.tzinfo is None else expires.astimezone(UTC)
    if expires <= now:
        raise typer.BadParameter("this time is over", param_hint="'--expires'")
    return expires


Organisation = Annotated[
    str | None, typer.Option(callback=_organisation, help="Only tokens of this organisation.")
]


@app.command()
def create(
    organisation: Annotated[
        str, typer.Option(callback=_organisation, help="The organisation of the token.")
    ],
    name: Annotated[
        str, typer.Option(callback=_name, help="What lists and the audit log call it.")
    ],
    expires: Annotated[
        str | None,
        typer.Option(help="When it expires: 12h, 90d, 8w or 2027-01-31. Default: never."),
    ] = None,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; may be repeated. Default: edit and read."),
    ] = None,
) -> None:
    """Create a token and print it; it is not stored and cannot be shown again."""
    expiry = _expiry(expires)
    settings = load_settings()
    with token_table(settings) as table:
        try:
            scopes = frozenset(scope or (Scope.EDIT, Scope.READ))
            sent, token = table.create(organisation, name, scopes, expiry)
        except NameTakenError as error:
            raise fail(f"{error}.") from None
    typer.echo(sent)
    until = f"valid until {_shown(expiry)}" if expiry else "valid until it is revoked"
    typer.echo(f"Token {token.id} of {organisation}, {until}. Keep it: it is shown once.", err=True)
    typer.echo(f"It works at every server with {chosen_by(settings)}.", err=True)


@app.command("list")
def list_tokens(
    organisation: Organisation = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tokens, oldest first; the last use is exact to a minute."""
    with token_table(load_settings()) as table:
        rows = [_row(token) for token in table.tokens(organisation)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    shown = [_COLUMNS, *(tuple(_text(row[column]) for column in _COLUMNS) for row in rows)]
    widths = [max(len(line[index]) for line in shown) for index in range(len(_COLUMNS))]
    for line in shown:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


@app.command()
def revoke(
    token_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The id of a token, as in the list.")
    ] = None,
    organisation: Annotated[
        str | None,
        typer.Option(
            callback=_organisation,
            help="Revoke all tokens of this organisation and all its result links, and remove its results.",
        ),
    ] = None,
) -> None:
    """Revoke one token, or a whole organisation."""
    if (token_id is None) == (organisation is None):
        raise typer.BadParameter("name either the id of a token or an --organisation")
    settings = load_settings()
    with token_table(settings) as table:
        if organisation is not None:
            _revoke_organisation(table, organisation, settings)
        else:
            _revoke_one(table, str(token_id))


def _revoke_one(table: TokenTable, token_id: str) -> None:
    found = [token for token in table.tokens() if token.id == token_id]
    if not found:
        raise fail(f"There is no token {token_id}.")
    for token in found:
        if not table.revoke(token.digest):
            raise fail(f"Token {token_id} was revoked already.")
        typer.echo(f"Token {token_id} of {token.organisation} ({token.name}) is revoked.")


def _revoke_organisation(table: TokenTable, organisation: str, settings: Settings) -> None:
    """Revoke an organisation; writes nothing, and ends with status 1, if nothing has its name."""
    is_in_settings = any(pair.partition(":")[0] == organisation for pair in settings.api_tokens)
    removed = 0
    if not (is_in_settings or table.knows(organisation)):
        # A server without tokens leaves no row of its organisations, but files.
        removed = _remove_results(organisation, settings)
        if not removed:
            raise fail(f"{organisation} has no token and no result: see whether the name is right.")
    count = table.revoke_organisation(organisation)
    typer.echo(f"{_counted(count, 'token')} of {organisation} revoked; its result links are dead.")
    # A presigned link to a bucket is dead only once its object is gone. The store may be away: tokens go first.
    removed += _remove_results(organisation, settings)
    typer.echo(f"{_counted(removed, 'result')} of {organisation} removed.")
    if is_in_settings:
        typer.echo(
            f"RETOUCH_API_TOKENS has a token of {organisation}: it works until you remove it there and"
            " restart the servers.",
            err=True,
        )


def _remove_results(organisation: str, settings: Settings) -> int:
    return open_stores(settings.store_address).results.delete_folder(organisation)


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _row(token: Token) -> dict[str, Any]:
    """Return what a list tells of a token."""
    return {
        "id": token.id,
        "organisation": token.organisation,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "state": token.state(datetime.now(UTC)),
        "created": _shown(token.created),
        "expires": _shown(token.expires),
        "last_used": _shown(token.last_used),
    }


def _shown(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(value: str | Sequence[str] | None) -> str:
    """Return a cell of the table."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else ",".join(value)
