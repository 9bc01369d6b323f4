"""The schema of the database: its migration at the start, and the version of Retouch that made it."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from storage.errors import NewerSchemaError
from storage.limited_connection import patience

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x5E70_0C44
"""Number of the advisory lock that is held during a migration."""

# Made without a migration: an earlier version, which knows no such table, must still start after this one.
_MIGRATED_BY = Table(
    "migrated_by",
    MetaData(),
    Column("revision", String(32), primary_key=True),
    Column("program", String(32), nullable=False),
    Column("migrated", DateTime(timezone=True), nullable=False),
)
"""Which version of Retouch migrated to a revision of the schema. Only the newest row stays."""


@dataclass(frozen=True)
class Migration:
    """One step of the schema. about: what it adds, in words."""

    revision: str
    about: str


@dataclass(frozen=True)
class SchemaState:
    """Where a database stands.

    found: its revision; None if it has no schema yet. head: the newest one that is known here. done,
    pending: the migrations up to the one and from there to the other, oldest first.
    """

    found: str | None
    head: str
    done: Sequence[Migration]
    pending: Sequence[Migration]


def schema_state(engine: Engine) -> SchemaState:
    """Return where a database stands, without changing it; raises NewerSchemaError."""
    scripts = ScriptDirectory.from_config(_config())
    with engine.connect() as connection:
        return _state(connection, scripts)


def migrate(engine: Engine) -> None:
    """Migrate the database's schema to the newest version; servers that start at once wait in turn.

    Raises NewerSchemaError if a newer version of Retouch has already migrated it further.
    """
    with _locked(engine) as (connection, config, state):
        if not state.pending:
            return
        command.upgrade(config, "head")
        _record(connection, state.head)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate the schema back to a revision, as `Migration` names it; what later ones added is lost.

    Raises NewerSchemaError, and ValueError if the database is not beyond that revision.
    """
    with _locked(engine) as (connection, config, state):
        revisions = [one.revision for one in state.done]
        if revision not in revisions[:-1]:
            earlier = ", ".join(revisions[:-1]) or "none"
            raise ValueError(
                f"the schema is {state.found or 'not made yet'}; earlier ones: {earlier}"
            )
        command.downgrade(config, revision)
        _record(connection, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


@contextmanager
def _locked(engine: Engine) -> Iterator[tuple[Connection, Config, SchemaState]]:
    """Hold the lock of migrations in a transaction; raises NewerSchemaError."""
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(engine.begin())
        if engine.dialect.name == "postgresql":
            stack.enter_context(patience(connection))
            # Waiting for other servers or a long migration may take longer than any request.
            connection.execute(text("SET LOCAL statement_timeout = '10min'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        yield connection, config, _state(connection, scripts)


def _state(connection: Connection, scripts: ScriptDirectory) -> SchemaState:
    found = MigrationContext.configure(connection).get_current_revision()
    head = str(scripts.get_current_head())
    steps = [Migration(one.revision, _about(one.doc)) for one in scripts.walk_revisions()][::-1]
    revisions = [step.revision for step in steps]
    if found is not None and found not in revisions:
        raise NewerSchemaError(_newer(connection, found, head))
    count = 0 if found is None else revisions.index(found) + 1
    return SchemaState(found, head, steps[:count], steps[count:])


def _about(doc: str) -> str:
    """Return what a migration adds, from the first sentence of its module: "Migration 0001: ..."."""
    return doc.partition(": ")[2].rstrip(".")


def _record(connection: Connection, revision: str) -> None:
    """Record that this version of Retouch has migrated the database to a revision."""
    _MIGRATED_BY.create(connection, checkfirst=True)
    connection.execute(delete(_MIGRATED_BY))
    row = {"revision": revision, "program": version("retouch"), "migrated": datetime.now(UTC)}
    connection.execute(insert(_MIGRATED_BY).values(**row))


def _newer(connection: Connection, found: str, head: str) -> str:
    """Return the text about a database whose revision is not known here."""
    program = None
    with_rows = select(_MIGRATED_BY.c.program).where(_MIGRATED_BY.c.revision == found)
    try:
        with connection.begin_nested():
            program = connection.scalar(with_rows)
    except SQLAlchemyError:  # no such table: a version that did not record itself
        program = None
    needed = f"Retouch {program}" if program else "a newer version of Retouch"
    return (
        f"the database was migrated by {needed} to schema {found}; this is Retouch"
        f" {version('retouch')}, which knows schemas up to {head}. Start {needed}"
        f"{' or newer' if program else ''}, or restore the backup from before the upgrade"
    )
