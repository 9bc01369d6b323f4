"""The token that a server makes for itself at its first start, where RETOUCH_MAKE_TOKEN allows it."""

from contextlib import closing

from server.http.scopes import Scope
from server.public_host import public_address
from server.settings import Settings
from storage.errors import NameTakenError
from storage.records import Records
from storage.tokens import TokenTable

ORGANISATION, NAME = "default", "first"
ANOTHER = (
    "python -m retouch tokens create --organisation ORGANISATION --name NAME makes another token, in the"
    " container of this server (docker exec)"
)


def first_token_text(settings: Settings) -> str | None:
    """Make a token if there is none and one is needed, and return what to print; None if none is to be made.

    None is made if tokens are in the settings, if only this machine can reach the server, or if the database has
    a token, be it expired or revoked: whoever revoked the last one did not mean to open the server again.
    Of servers that start together on one database one makes it. Raises DatabaseUnavailableError,
    NewerSchemaError.
    """
    if not settings.make_token or settings.api_tokens or public_address(settings) is None:
        return None
    with closing(Records(settings.records_url)) as records:
        table = TokenTable(records.engine)
        if table.has_any():
            return (
                f"There are tokens already, and each was printed only when it was made. {ANOTHER}."
            )
        try:
            sent, _ = table.create(ORGANISATION, NAME, [Scope.EDIT, Scope.READ], None)
        except NameTakenError:
            return f"Another server of this database has printed the first token. {ANOTHER}."
    return f"The token of this server, which is printed only now:\n\n    {sent}\n\n{ANOTHER}."
