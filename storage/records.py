"""What is known of each visual and of each of its results: rows in SQLite or PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    DateTime,
    Engine,
    ForeignKeyConstraint,
    Index,
    String,
    delete,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from storage.database import open_engine, reaching_database

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 0x5E70_0C44
"""Number of the lock under which a schema is brought up to date."""


class Base(DeclarativeBase):
    """The schema; migrations bring a database to it."""


class VisualRow(Base):
    """A registered picture of one organisation."""

    __tablename__ = "visuals"
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    visual_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    source_key: Mapped[str] = mapped_column(String(512))
    width: Mapped[int]
    height: Mapped[int]
    is_private: Mapped[bool]
    registered: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SessionRow(Base):
    """A stored result of a visual, from which further edits may start."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "visual_id"],
            ["visuals.organisation", "visuals.visual_id"],
            ondelete="CASCADE",
        ),
        Index("sessions_by_age", "made"),
    )
    sid: Mapped[str] = mapped_column(String(64), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(64))
    visual_id: Mapped[str] = mapped_column(String(16))
    result_key: Mapped[str] = mapped_column(String(512))
    changed: Mapped[str] = mapped_column(String(8192))
    made: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ServerRow(Base):
    """A server process that has used the database (`storage.server_lease`)."""

    __tablename__ = "servers"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    started: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class Visual:
    """A registered picture: its owner, its name, where its bytes lie, its size in pixels."""

    organisation: str
    visual_id: str
    source_key: str
    width: int
    height: int
    is_private: bool = False


@dataclass(frozen=True)
class EditSession:
    """A stored result of a visual, to start further edits from.

    changed: ids of the people whom the edits on the way to it changed.
    """

    sid: str
    visual_id: str
    result_key: str
    changed: tuple[str, ...] = ()


class Records:
    """Reads and writes rows; safe to share by threads, the database by processes.

    The schema is brought up to date on construction. Every read names the organisation, so that no row
    is ever found for another. Every method raises DatabaseUnavailableError where the database is away.
    """

    def __init__(self, url: URL) -> None:
        self._engine = open_engine(url)
        self._insert = (sqlite if url.get_backend_name() == "sqlite" else postgresql).insert
        with reaching_database():
            migrate(self._engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with reaching_database(), Session(self._engine) as session, session.begin():
            yield session

    def add_visual(self, visual: Visual) -> bool:
        """Remember a visual; False when it is known already, which changes nothing."""
        row = self._insert(VisualRow).values(**visual.__dict__, registered=datetime.now(UTC))
        with self._session() as session:
            added = session.scalars(row.on_conflict_do_nothing().returning(VisualRow.visual_id))
            return added.first() is not None

    def visual(self, organisation: str, visual_id: str) -> Visual | None:
        """Return a visual of this organisation."""
        with self._session() as session:
            row = session.get(VisualRow, (organisation, visual_id))
            if row is None:
                return None
            return Visual(
                row.organisation,
                row.visual_id,
                row.source_key,
                row.width,
                row.height,
                row.is_private,
            )

    def remove_visual(self, organisation: str, visual_id: str) -> list[str]:
        """Forget a visual and its sessions; gives the keys of the results they named."""
        is_visual = (
            VisualRow.organisation == organisation,
            VisualRow.visual_id == visual_id,
        )
        of_visual = (
            SessionRow.organisation == organisation,
            SessionRow.visual_id == visual_id,
        )
        with self._session() as session:
            # Nobody adds a session to a row that is locked, so every key is told here.
            session.execute(select(VisualRow.visual_id).where(*is_visual).with_for_update())
            keys = session.scalars(
                delete(SessionRow).where(*of_visual).returning(SessionRow.result_key)
            ).all()
            session.execute(delete(VisualRow).where(*is_visual))
        return list(keys)

    def add_session(self, organisation: str, edit: EditSession) -> bool:
        """Remember a result; the same sid again changes nothing. False when its visual is forgotten."""
        row = self._insert(SessionRow).values(
            sid=edit.sid,
            organisation=organisation,
            visual_id=edit.visual_id,
            result_key=edit.result_key,
            changed=",".join(edit.changed),
            made=datetime.now(UTC),
        )
        try:
            with self._session() as session:
                session.execute(row.on_conflict_do_nothing(index_elements=[SessionRow.sid]))
        except IntegrityError:  # the one other constraint is the visual's
            return False
        return True

    def remove_session(self, organisation: str, sid: str) -> None:
        """Forget a result; one that is unknown changes nothing."""
        with self._session() as session:
            session.execute(
                delete(SessionRow).where(
                    SessionRow.organisation == organisation, SessionRow.sid == sid
                )
            )

    def session(self, organisation: str, visual_id: str, sid: str) -> EditSession | None:
        """Return a stored result of this visual of this organisation."""
        with self._session() as session:
            row = session.get(SessionRow, sid)
            if row is None or (row.organisation, row.visual_id) != (organisation, visual_id):
                return None
            changed = tuple(filter(None, row.changed.split(",")))
            return EditSession(row.sid, row.visual_id, row.result_key, changed)

    def sweep_sessions(self, older_than: datetime) -> int:
        """Forget sessions whose results have expired; gives how many."""
        with self._session() as session:
            swept = session.execute(
                delete(SessionRow).where(SessionRow.made < older_than).returning(SessionRow.sid)
            )
            return len(swept.all())


def migrate(engine: Engine) -> None:
    """Bring the database's schema up to date; of several servers that start at once, one does."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Waiting for the others, and a long migration, may take longer than any request.
            connection.execute(text("SET LOCAL statement_timeout = '10min'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
