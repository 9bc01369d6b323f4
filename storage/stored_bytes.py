"""How many bytes each organisation stores: registered pictures, their results, and what expires by itself."""

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    Index,
    Select,
    String,
    delete,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import transaction
from storage.records import Base, ResultRow, VisualRow

log = logging.getLogger("retouch")

_BLOCK = 16 << 10
"""Every object counts as a multiple of this: a file takes whole blocks, and one inode for 16 KiB (ext4)."""
_STEPS = 24
"""Lifetimes are counted in so many steps, of an hour at most: for so much longer bytes may count."""
_FLUSH_S = 5.0
"""Seconds for which SQLite's counts stay in memory, so that not each request writes to the disk."""


class StoredRow(Base):
    """The bytes of an organisation that expire at the same time."""

    __tablename__ = "stored_bytes"
    __table_args__ = (Index("stored_bytes_by_expiry", "expires"),)
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class Usage:
    """What an organisation stores.

    visuals: the number of its registered pictures. lasting: bytes of these, of their maps and of the
    results made from them. expiring: bytes that expire by themselves, by time.
    """

    visuals: int
    lasting: int
    expiring: Sequence[tuple[datetime, int]]

    @property
    def total(self) -> int:
        """All bytes."""
        return self.lasting + sum(size for _, size in self.expiring)

    def falls_below(self, limit: int) -> datetime | None:
        """Return when the bytes will have fallen below a limit by themselves; None if they will not."""
        left = self.total
        for expires, size in sorted(self.expiring):
            left -= size
            if left < limit:
                return expires
        return None


@dataclass(frozen=True)
class StoredShare:
    """What one organisation stores. visuals: the number of its registered pictures."""

    organisation: str
    bytes: int
    visuals: int


@dataclass(frozen=True)
class StoredByOrganisation:
    """What organisations store. shares: the largest first. bytes, organisations: of all, also without a share."""

    shares: Sequence[StoredShare]
    bytes: int
    organisations: int


class StoredBytes:
    """Counts the bytes that organisations store. Threads may share it, and processes the database.

    Sums are taken from the rows of registered pictures and results, and from counts by the time at which
    bytes expire, so nothing is listed and nothing is subtracted when the store's sweep removes files.
    With PostgreSQL each count is written at once, and all servers agree. With SQLite, which one server
    uses, the counts of a few seconds are written together.
    """

    def __init__(self, engine: Engine) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        self._engine = engine
        self._insert = (sqlite if is_sqlite else postgresql).insert
        self._delay_s = _FLUSH_S if is_sqlite else 0.0
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._pending: Counter[tuple[str, datetime]] = Counter()
        self._flushed = datetime.now(UTC)

    def add(self, organisation: str, size: int, expires: datetime) -> None:
        """Count bytes until `expires`, of `expiry`; negative if they are removed before.

        Never raises: if the database is unavailable, they are written later.
        """
        with self._lock:
            self._pending[organisation, expires] += size
        self.flush(self._delay_s)

    def flush(self, after_s: float = 0.0) -> None:
        """Write what is counted, unless that was done less than `after_s` seconds ago; never raises."""
        now = datetime.now(UTC)
        with self._flush_lock:
            if now - self._flushed < timedelta(seconds=after_s):
                return
            with self._lock:
                pending = [(key, size) for key, size in self._pending.items() if size]
            if not pending:
                return
            self._flushed = now
            try:
                self._write(pending)
            except (OSError, SQLAlchemyError) as error:
                log.error("the stored bytes are written later: %s", error)

    def _write(self, pending: Sequence[tuple[tuple[str, datetime], int]]) -> None:
        row = self._insert(StoredRow)
        added = row.on_conflict_do_update(
            index_elements=[StoredRow.organisation, StoredRow.expires],
            set_={"bytes": StoredRow.bytes + row.excluded.bytes},
        )
        # In one order, so that two servers cannot wait for each other's rows.
        rows = [
            {"organisation": organisation, "expires": expires, "bytes": size}
            for (organisation, expires), size in sorted(pending)
        ]
        with transaction(self._engine) as session:
            session.execute(added, rows)
        with self._lock:
            self._pending.subtract(dict(pending))
            self._pending += Counter()  # drop the zeros

    def usage(self, organisation: str) -> Usage:
        """Return what an organisation stores; raises DatabaseUnavailableError."""
        # Before the rows: what is written meanwhile counts twice for a moment, and never not at all.
        with self._lock:
            counted = Counter(
                {
                    expires: size
                    for (name, expires), size in self._pending.items()
                    if name == organisation
                }
            )
        with transaction(self._engine) as session:
            visuals, pictures = session.execute(_visuals_of(organisation)).one()
            results = session.scalar(_results_of(organisation))
            for expires, size in session.execute(_expiring_of(organisation)):
                # SQLite has no time zones.
                counted[expires.replace(tzinfo=expires.tzinfo or UTC)] += size
        expiring = [(expires, size) for expires, size in counted.items() if size > 0]
        return Usage(visuals, int(pictures or 0) + int(results or 0), expiring)

    def by_organisation(self, limit: int) -> "StoredByOrganisation":
        """Return what organisations store, at most `limit` of them, and the sum of all.

        What SQLite's counts of the last seconds add is missing. It reads each row of registered pictures once, so
        ask for it rarely. Raises DatabaseUnavailableError.
        """
        with transaction(self._engine) as session:
            rows = session.execute(_by_organisation(datetime.now(UTC), limit)).all()
        shares = [StoredShare(row.organisation, int(row.bytes), int(row.visuals)) for row in rows]
        if not rows:
            return StoredByOrganisation([], 0, 0)
        return StoredByOrganisation(shares, int(rows[0].all_bytes), int(rows[0].organisations))

    def sweep(self) -> None:
        """Remove the counts of what has expired; raises DatabaseUnavailableError."""
        with transaction(self._engine) as session:
            session.execute(delete(StoredRow).where(StoredRow.expires <= datetime.now(UTC)))


def _visuals_of(organisation: str) -> Select[int, int]:
    """Return the query for the number of an organisation's visuals and their bytes."""
    size = func.coalesce(VisualRow.bytes, 0) + func.coalesce(VisualRow.map_bytes, 0)
    return select(func.count(), func.sum(size)).where(VisualRow.organisation == organisation)


def _results_of(organisation: str) -> Select[int | None]:
    """Return the query for the bytes of the results of an organisation's visuals."""
    return select(func.sum(ResultRow.bytes)).where(ResultRow.organisation == organisation)


def _expiring_of(organisation: str) -> Select[datetime, int]:
    """Return the query for the counts of an organisation."""
    return select(StoredRow.expires, StoredRow.bytes).where(
        StoredRow.organisation == organisation, StoredRow.expires > datetime.now(UTC)
    )


def _by_organisation(now: datetime, limit: int) -> Select[Any]:
    """Return the query for the bytes and visuals of each organisation, with the sums of all in each row."""
    size = func.coalesce(VisualRow.bytes, 0) + func.coalesce(VisualRow.map_bytes, 0)
    none = literal(0)
    parts = union_all(
        select(
            VisualRow.organisation, func.sum(size).label("bytes"), func.count().label("visuals")
        ).group_by(VisualRow.organisation),
        select(ResultRow.organisation, func.coalesce(func.sum(ResultRow.bytes), 0), none).group_by(
            ResultRow.organisation
        ),
        select(StoredRow.organisation, func.sum(StoredRow.bytes), none)
        .where(StoredRow.expires > now)
        .group_by(StoredRow.organisation),
    ).subquery()
    total = func.sum(parts.c.bytes)
    return (
        select(
            parts.c.organisation,
            total.label("bytes"),
            func.sum(parts.c.visuals).label("visuals"),
            func.sum(total).over().label("all_bytes"),
            func.count().over().label("organisations"),
        )
        .group_by(parts.c.organisation)
        .order_by(total.desc(), parts.c.organisation)
        .limit(limit)
    )


def charged(size: int) -> int:
    """Return how many bytes an object of a size counts as."""
    return max(1, -(-size // _BLOCK)) * _BLOCK


def expiry(lifetime: timedelta, now: datetime | None = None) -> datetime:
    """Return the time until which bytes with a lifetime count, rounded up to a step of it."""
    step = max(1, min(3600, int(lifetime.total_seconds()) // _STEPS))
    seconds = ((now or datetime.now(UTC)) + lifetime).timestamp()
    return datetime.fromtimestamp((int(seconds) // step + 1) * step, UTC)
