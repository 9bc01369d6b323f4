"""A SQLite database that is migrated once, for tests that need a new one and do not test its migration."""

import shutil
from pathlib import Path

from sqlalchemy import Engine

from storage.database import database_url
from storage.records import Records
from storage.schema import migrate


class MigratedDatabase:
    """Lets new SQLite databases begin as copies: the migrations are most of a server's start."""

    def __init__(self, folder: Path) -> None:
        """Migrate the database that is copied. folder: an empty one, to keep it in."""
        self._file = folder / "records.db"
        Records(database_url(f"sqlite:///{self._file}")).close()

    def migrate(self, engine: Engine) -> None:
        """Do what `storage.schema.migrate` does; a new SQLite database becomes a copy."""
        if engine.dialect.name == "sqlite" and engine.url.database:
            file = Path(engine.url.database)
            if file.parent.is_dir() and not file.exists():
                shutil.copyfile(self._file, file)
                return
        migrate(engine)
