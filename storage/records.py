"""The database rows of visuals, their results, edit sessions and servers, in SQLite or PostgreSQL."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Engine,
    ForeignKeyConstraint,
    Index,
    String,
    delete,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.breaker import Breaker
from storage.database import open_engine, transaction, wrap_database_errors
from storage.schema import migrate


class Base(DeclarativeBase):
    """The base of all tables; together they are the schema that the migrations create."""


class VisualRow(Base):
    """A picture registered by an organisation."""

    __tablename__ = "visuals"
    __table_args__ = (Index("visuals_by_age", "registered"),)
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    visual_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    source_key: Mapped[str] = mapped_column(String(512))
    width: Mapped[int]
    height: Mapped[int]
    is_private: Mapped[bool]
    registered: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    bytes: Mapped[int | None]
    map_bytes: Mapped[int | None]


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


class ResultRow(Base):
    """The key of a result of a visual, so that the result is removed with the visual."""

    __tablename__ = "visual_results"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "visual_id"],
            ["visuals.organisation", "visuals.visual_id"],
            ondelete="CASCADE",
        ),
        Index("visual_results_by_visual", "organisation", "visual_id"),
        Index("visual_results_by_age", "made"),
    )
    result_key: Mapped[str] = mapped_column(String(512), primary_key=True)
    organisation: Mapped[str] = mapped_column(String(64))
    visual_id: Mapped[str] = mapped_column(String(16))
    made: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    bytes: Mapped[int | None]


class ServerRow(Base):
    """A server process that has used the database (`storage.server_lease`)."""

    __tablename__ = "servers"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    started: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class Visual:
    """A registered picture.

    source_key: the picture's key in the store of visuals. width, height: in pixels. is_private: as
    the caller sent it; only stored.
    """

    organisation: str
    visual_id: str
    source_key: str
    width: int
    height: int
    is_private: bool = False


def visual_of(row: VisualRow) -> Visual:
    """Return the visual of a row."""
    return Visual(**{name: getattr(row, name) for name in Visual.__dataclass_fields__})


@dataclass(frozen=True)
class EditSession:
    """A stored result of a visual, from which further edits may start.

    result_key: the result's key in the store. changed: ids of the people that this edit and the edits
    before it changed.
    """

    sid: str
    visual_id: str
    result_key: str
    changed: tuple[str, ...] = ()


class Records:
    """Reads and writes rows. Threads may share it, and processes may share the database.

    Every read is limited to an organisation, so that no caller sees the rows of another. Every
    method raises DatabaseUnavailableError if the database cannot be reached.
    """

    def __init__(self, url: URL, breaker: Breaker | None = None) -> None:
        """Open the database and migrate its schema; raises NewerSchemaError. breaker: see `open_engine`."""
        self._engine = open_engine(url, breaker)
        self._insert = (sqlite if url.get_backend_name() == "sqlite" else postgresql).insert
        try:
            with wrap_database_errors():
                migrate(self._engine)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """The connections of this database, for the other tables in it."""
        return self._engine

    def add_visual(self, visual: Visual, size: int | None = None) -> bool:
        """Add a visual; return False, and change nothing, if it already exists.

        size: of its picture, in bytes.
        """
        row = self._insert(VisualRow).values(
            **visual.__dict__, registered=datetime.now(UTC), bytes=size
        )
        with transaction(self._engine) as session:
            added = session.scalars(row.on_conflict_do_nothing().returning(VisualRow.visual_id))
            return added.first() is not None

    def visual(self, organisation: str, visual_id: str) -> Visual | None:
        """Return a visual of an organisation, or None."""
        with transaction(self._engine) as session:
            row = session.get(VisualRow, (organisation, visual_id))
            return None if row is None else visual_of(row)

    def remove_visual(self, organisation: str, visual_id: str) -> list[str]:
        """Remove a visual with its results and sessions; return the keys of all results."""
        is_visual = (
            VisualRow.organisation == organisation,
            VisualRow.visual_id == visual_id,
        )
        with transaction(self._engine) as session:
            # No result can be added while the visual's row is locked, so no key is missed.
            session.execute(select(VisualRow.visual_id).where(*is_visual).with_for_update())
            keys = _unique(
                session.scalars(
                    delete(table).where(*_of(table, organisation, visual_id)).returning(key)
                )
                for table, key in _RESULT_KEYS
            )
            session.execute(delete(VisualRow).where(*is_visual))
        return keys

    def results(self, organisation: str, visual_id: str) -> list[str]:
        """Return the keys of all results of a visual."""
        with transaction(self._engine) as session:
            return _unique(
                session.scalars(select(key).where(*_of(table, organisation, visual_id)))
                for table, key in _RESULT_KEYS
            )

    def add_results(
        self, organisation: str, visual_id: str, keys: Sequence[str], sizes: Sequence[int] = ()
    ) -> bool:
        """Add results of a visual; return False, and add none, if the visual does not exist.

        Keys that already exist stay as they are. sizes: of the results, in bytes, if they are known.
        """
        shared = {"organisation": organisation, "visual_id": visual_id, "made": datetime.now(UTC)}
        sized = itertools.zip_longest(keys, sizes)
        rows = self._insert(ResultRow).values(
            [{"result_key": key, "bytes": size, **shared} for key, size in sized]
        )
        try:
            with transaction(self._engine) as session:
                session.execute(rows.on_conflict_do_nothing(index_elements=[ResultRow.result_key]))
        except IntegrityError:  # the only other constraint is the foreign key of the visual
            return False
        return True

    def has_result(self, organisation: str, key: str) -> bool:
        """Whether a result was added and its visual has not been removed since."""
        with transaction(self._engine) as session:
            row = session.get(ResultRow, key)
            return row is not None and row.organisation == organisation

    def remove_results(self, organisation: str, keys: Sequence[str]) -> None:
        """Remove results, if they exist."""
        with transaction(self._engine) as session:
            session.execute(
                delete(ResultRow).where(
                    ResultRow.organisation == organisation, ResultRow.result_key.in_(keys)
                )
            )

    def add_session(self, organisation: str, edit: EditSession) -> bool:
        """Add a session; return False if its visual does not exist.

        If the sid already exists, nothing changes and the result is True.
        """
        row = self._insert(SessionRow).values(
            sid=edit.sid,
            organisation=organisation,
            visual_id=edit.visual_id,
            result_key=edit.result_key,
            changed=",".join(edit.changed),
            made=datetime.now(UTC),
        )
        try:
            with transaction(self._engine) as session:
                session.execute(row.on_conflict_do_nothing(index_elements=[SessionRow.sid]))
        except IntegrityError:  # the only other constraint is the foreign key of the visual
            return False
        return True

    def remove_session(self, organisation: str, sid: str) -> None:
        """Remove a session, if it exists."""
        with transaction(self._engine) as session:
            session.execute(
                delete(SessionRow).where(
                    SessionRow.organisation == organisation, SessionRow.sid == sid
                )
            )

    def session(self, organisation: str, visual_id: str, sid: str) -> EditSession | None:
        """Return a session of a visual of an organisation, or None."""
        with transaction(self._engine) as session:
            row = session.get(SessionRow, sid)
            if row is None or (row.organisation, row.visual_id) != (organisation, visual_id):
                return None
            changed = tuple(filter(None, row.changed.split(",")))
            return EditSession(row.sid, row.visual_id, row.result_key, changed)

    def sweep_results(self, older_than: datetime) -> int:
        """Remove the results and sessions made before `older_than`; return how many results."""
        with transaction(self._engine) as session:
            session.execute(delete(SessionRow).where(SessionRow.made < older_than))
            removed = session.execute(
                delete(ResultRow).where(ResultRow.made < older_than).returning(ResultRow.made)
            )
            return len(removed.all())


_RESULT_KEYS = (
    (ResultRow, ResultRow.result_key),
    (SessionRow, SessionRow.result_key),
)
"""The tables with keys of results; results of earlier versions are only in sessions."""


def _of(
    table: type[ResultRow] | type[SessionRow], organisation: str, visual_id: str
) -> tuple[ColumnElement[bool], ...]:
    """Return the condition of a visual's rows."""
    return table.organisation == organisation, table.visual_id == visual_id


def _unique(lists: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(itertools.chain.from_iterable(lists)))
