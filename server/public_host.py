"""The checks of the addresses to listen on: they are free, and one that others can reach needs a token."""

from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from server.listener import listener_problem
from server.settings import Settings, is_loopback
from storage.records import Records
from storage.tokens import TokenTable


def listening_problem(settings: Settings) -> str | None:
    """Return why no server can listen on the addresses of the settings; None if one can."""
    problem = listener_problem(settings.host, settings.port)
    if problem is None and settings.operators is not None:
        problem = listener_problem(*settings.operators, prefix="RETOUCH_OPERATOR_")
    return problem


def public_address(settings: Settings) -> tuple[str, str] | None:
    """Return a setting whose address other machines can reach, and the address; None if there is none.

    An address of links on another machine means that a proxy there, or here, lets others in.
    """
    hosts = {"RETOUCH_HOST": settings.host}
    if settings.operators is not None:
        hosts["RETOUCH_OPERATOR_HOST"] = settings.operator_host
    if settings.public_url is not None:
        hosts["RETOUCH_PUBLIC_URL"] = urlsplit(settings.public_url).hostname or ""
    return next((one for one in hosts.items() if not is_loopback(one[1])), None)


def public_host_problem(settings: Settings) -> str | None:
    """Return why no server may listen on the address of the settings; None if one may.

    It asks the database only if no token is in the settings, and migrates it then, as a server does.
    Raises DatabaseUnavailableError, NewerSchemaError.
    """
    address = public_address(settings)
    if settings.api_tokens or address is None:
        return None
    with closing(Records(settings.records_url)) as records:
        tokens = TokenTable(records.engine).tokens()
    if any(token.state(datetime.now(UTC)) == "valid" for token in tokens):
        return None
    return (
        f"{address[0]}: {address[1]} can be reached by other machines, so RETOUCH_API_TOKENS must be set"
        " (organisation:token), or a token created first with `./scripts/retouch tokens create`; without"
        " tokens only loopback is served"
    )
