"""Open what the commands work on, and report errors in one line."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from models.errors import InvalidSettingsError
from models.settings import read_settings
from retouch.failures import fail
from server.settings import Settings
from storage.errors import NewerSchemaError, StorageError
from storage.records import Records
from storage.tokens import TokenTable


def load_settings() -> Settings:
    """Return the settings of the environment; ends the command with status 2 if they are invalid."""
    try:
        return read_settings(Settings)
    except InvalidSettingsError as error:
        raise fail(str(error), 2) from None


@contextmanager
def token_table(settings: Settings) -> Iterator[TokenTable]:
    """Return the tokens of the database, which is created or migrated as a server does at its start.

    Errors of the database or the store end the command with status 1.
    """
    try:
        if settings.database_url is None:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(Records(settings.records_url)) as records:
            yield TokenTable(records.engine)
    except (OSError, StorageError) as error:
        status = 2 if isinstance(error, NewerSchemaError) else 1
        raise fail(f"{chosen_by(settings)}: {error}", status) from None


def chosen_by(settings: Settings) -> str:
    """Return the setting that chose the database; not its address, which may contain a password."""
    if settings.database_url is not None:
        return "RETOUCH_DATABASE_URL"
    return f"RETOUCH_DATA_DIR {os.fspath(settings.data_dir.absolute())}"
