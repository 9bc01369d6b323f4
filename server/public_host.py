"""The check that a server which other machines can reach has a token."""

from contextlib import closing
from datetime import UTC, datetime

from server.settings import Settings, is_loopback
from storage.records import Records
from storage.tokens import TokenTable


def public_host_problem(settings: Settings) -> str | None:
    """Return why no server may listen on the address of the settings; None if one may.

    It asks the database only if no token is in the settings, and migrates it then, as a server does.
    Raises DatabaseUnavailableError, NewerSchemaError.
    """
    if settings.api_tokens or is_loopback(settings.host):
        return None
    with closing(Records(settings.records_url)) as records:
        tokens = TokenTable(records.engine).tokens()
    if any(token.state(datetime.now(UTC)) == "valid" for token in tokens):
        return None
    return (
        f"RETOUCH_HOST: {settings.host} can be reached by other machines, so RETOUCH_API_TOKENS must be set"
        " (organisation:token), or a token created first with `./scripts/retouch tokens create`; without"
        " tokens only loopback is served"
    )
