"""Counters of requests in the last minute, second by second: in memory, or in a database that servers share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from sqlalchemy import JSON, BigInteger, Engine, Integer, String, delete, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from storage.database import wrap_database_errors
from storage.records import Base

WINDOW_S = 60
"""Length of the window that slides, in seconds."""
_NONE = (0,) * WINDOW_S
_KEPT_S = 2 * WINDOW_S
"""Age in seconds at which a counter is swept: it counts nothing since one window."""

Key = tuple[str, str]
"""What is counted together: an organisation, and a route."""


@dataclass(frozen=True)
class Limits:
    """How many requests a window may hold, 1 or more: accepted ones, and refused ones."""

    accepted: int
    refused: int


@dataclass(frozen=True)
class Charge:
    """A request that was counted as accepted.

    second: of the counter's clock, in which it was counted. remaining: requests that the window still has
    room for. reset_s: seconds until it has more room, 1 to 60.
    """

    second: int
    remaining: int
    reset_s: int


@dataclass(frozen=True)
class Excess:
    """A request that was not counted, because the window is full.

    of_refused: whether it is full of refused requests, else of accepted ones. retry_s: seconds until it has
    room for a request, 1 to 60.
    """

    of_refused: bool
    retry_s: int


@dataclass(frozen=True)
class Counts:
    """The requests of one key. second: of the last count; accepted, refused: of the 60 seconds up to it."""

    second: int
    accepted: Sequence[int] = _NONE
    refused: Sequence[int] = _NONE

    def at(self, now: int) -> "Counts":
        """Return the counts with a window that ends at a later second.

        A clock that was set back lets the window stand still; one set back by more than the window empties
        it, so that no error of a clock lasts for longer than the window.
        """
        if now < self.second - WINDOW_S:
            return Counts(now)
        passed = min(max(now - self.second, 0), WINDOW_S)
        if not passed:
            return self
        gone = _NONE[:passed]
        return Counts(now, (*self.accepted[passed:], *gone), (*self.refused[passed:], *gone))

    def excess(self, limits: Limits, now: int) -> Excess | None:
        """Return why the window has no room at a second; None if it has."""
        accepted = _seconds_until_below(self.accepted, limits.accepted)
        refused = _seconds_until_below(self.refused, limits.refused)
        if not accepted and not refused:
            return None
        return Excess(refused > accepted, max(accepted, refused) + max(self.second - now, 0))

    def charge(self, limits: Limits) -> Charge:
        """Return what a caller is told whose request is in these counts."""
        oldest = next(index for index, count in enumerate(self.accepted) if count)
        return Charge(self.second, max(limits.accepted - sum(self.accepted), 0), oldest + 1)

    def with_accepted(self) -> "Counts":
        """Return the counts with one more accepted request in the last second."""
        return replace(self, accepted=(*self.accepted[:-1], self.accepted[-1] + 1))

    def with_refused(self, second: int) -> "Counts":
        """Return the counts after a request, accepted in a second, was refused in the last one."""
        accepted = list(self.accepted)
        index = WINDOW_S - 1 - (self.second - second)
        if 0 <= index < WINDOW_S:
            accepted[index] = max(accepted[index] - 1, 0)
        return replace(
            self, accepted=tuple(accepted), refused=(*self.refused[:-1], self.refused[-1] + 1)
        )


def _seconds_until_below(counts: Sequence[int], limit: int) -> int:
    """Return after how many seconds the sum of a window is below a limit, 0 to 60."""
    left = sum(counts)
    for seconds, count in enumerate(counts):
        if left < limit:
            return seconds
        left -= count
    return WINDOW_S


class Counters(Protocol):
    """Counts requests by key. Threads may share it."""

    def charge(self, key: Key, limits: Limits) -> Charge | Excess:
        """Count a request as accepted if the window has room for it."""
        ...

    def refuse(self, key: Key, charge: Charge) -> None:
        """Count a charged request as refused instead."""
        ...

    def sweep(self) -> None:
        """Remove the counters that count nothing any more."""
        ...


class MemoryCounters:
    """The counters of one process; they are lost when it ends.

    clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._counts: dict[Key, Counts] = {}

    def charge(self, key: Key, limits: Limits) -> Charge | Excess:
        """Count a request as accepted if the window has room for it."""
        now = int(self._clock())
        with self._lock:
            counts = self._counts.get(key, Counts(now)).at(now)
            excess = counts.excess(limits, now)
            if excess is not None:
                return excess
            self._counts[key] = counts = counts.with_accepted()
        return counts.charge(limits)

    def refuse(self, key: Key, charge: Charge) -> None:
        """Count a charged request as refused instead."""
        now = int(self._clock())
        with self._lock:
            counts = self._counts.get(key, Counts(now)).at(now)
            self._counts[key] = counts.with_refused(charge.second)

    def sweep(self) -> None:
        """Remove the counters that count nothing any more."""
        oldest = int(self._clock()) - _KEPT_S
        with self._lock:
            self._counts = {
                key: counts for key, counts in self._counts.items() if counts.second >= oldest
            }


class RateCounterRow(Base):
    """The counts of an organisation and a route: `Counts`. Only PostgreSQL has rows."""

    __tablename__ = "rate_counters"
    organisation: Mapped[str] = mapped_column(String(64), primary_key=True)
    route: Mapped[str] = mapped_column(String(255), primary_key=True)
    second: Mapped[int] = mapped_column(BigInteger)
    accepted: Mapped[list[int]] = mapped_column(ARRAY(Integer).with_variant(JSON, "sqlite"))
    refused: Mapped[list[int]] = mapped_column(ARRAY(Integer).with_variant(JSON, "sqlite"))


_NO_COUNTS = f"(array_fill(0, ARRAY[{WINDOW_S}]))"
_CLOCK = "coalesce(CAST(:now AS bigint), floor(extract(epoch FROM clock_timestamp()))::bigint)"
"""The second by the database's clock, so that servers agree whose clocks differ; `now` is for tests."""
# Below, `c` is the row in the table, and `excluded` the new one: now, with counts that are zero.
_IS_SET_BACK = f"excluded.second < c.second - {WINDOW_S}"
_SECOND = (
    f"CASE WHEN {_IS_SET_BACK} THEN excluded.second ELSE greatest(excluded.second, c.second) END"
)
_PASSED = f"""CASE WHEN {_IS_SET_BACK} THEN {WINDOW_S}
    ELSE least(greatest(excluded.second - c.second, 0), {WINDOW_S})::int END"""
_ACCEPTED = f"(c.accepted)[({_PASSED}) + 1:]"
_REFUSED = f"(c.refused)[({_PASSED}) + 1:]"
_ZEROS = f"{_NO_COUNTS}[1:{_PASSED}]"
_ADD = f"[1:{WINDOW_S - 1}] || counts[{WINDOW_S}] + 1"
_SUM = "(SELECT coalesce(sum(count), 0) FROM unnest({}) AS count)"

_CHARGE = text(f"""
INSERT INTO rate_counters AS c (organisation, route, second, accepted, refused)
VALUES (:organisation, :route, {_CLOCK}, array_append({_NO_COUNTS}[2:], 1), {_NO_COUNTS})
ON CONFLICT (organisation, route) DO UPDATE SET
    second = {_SECOND},
    accepted = (SELECT counts{_ADD} FROM (SELECT {_ACCEPTED} || {_ZEROS} AS counts) AS moved),
    refused = {_REFUSED} || {_ZEROS}
WHERE {_SUM.format(_ACCEPTED)} < :accepted_limit AND {_SUM.format(_REFUSED)} < :refused_limit
RETURNING second, accepted, refused
""")  # noqa: S608 - nothing in it comes from a caller
"""`Counts.at` and `with_accepted` in one statement; it returns no row if the window has no room."""

_REFUSE = text(f"""
UPDATE rate_counters AS c SET
    second = {_SECOND},
    accepted = (
        SELECT CASE WHEN place BETWEEN 1 AND {WINDOW_S}
            THEN counts[1:place - 1] || greatest(counts[place] - 1, 0) || counts[place + 1:]
            ELSE counts END
        FROM (SELECT {_ACCEPTED} || {_ZEROS} AS counts,
            ({WINDOW_S} - ({_SECOND} - CAST(:charged AS bigint)))::int AS place) AS moved),
    refused = (SELECT counts{_ADD} FROM (SELECT {_REFUSED} || {_ZEROS} AS counts) AS moved)
FROM (SELECT {_CLOCK} AS second) AS excluded
WHERE c.organisation = :organisation AND c.route = :route
""")  # noqa: S608 - nothing in it comes from a caller
"""`Counts.at` and `with_refused` in one statement."""

_READ = text(f"""
SELECT second, accepted, refused, {_CLOCK} AS now FROM rate_counters
WHERE organisation = :organisation AND route = :route
""")  # noqa: S608 - nothing in it comes from a caller


class DatabaseCounters:
    """The counters in PostgreSQL, by its clock. Every method raises DatabaseUnavailableError.

    The table is UNLOGGED, so that no request waits for a disk; a crash of the database server empties it.
    clock: replaces that of the database.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] | None = None) -> None:
        # One statement is one round trip, without BEGIN and COMMIT.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._clock = clock

    def _now(self) -> int | None:
        return int(self._clock()) if self._clock else None

    def charge(self, key: Key, limits: Limits) -> Charge | Excess:
        """Count a request as accepted if the window has room for it."""
        names = {"organisation": key[0], "route": key[1], "now": self._now()}
        bounds = {"accepted_limit": limits.accepted, "refused_limit": limits.refused}
        with wrap_database_errors(), self._engine.connect() as connection:
            while True:
                row = connection.execute(_CHARGE, names | bounds).one_or_none()
                if row is not None:
                    return Counts(*row).charge(limits)
                full = connection.execute(_READ, names).one_or_none()
                if full is None:  # swept since
                    continue
                counts = Counts(full.second, full.accepted, full.refused).at(full.now)
                # None: it has got room since.
                if (excess := counts.excess(limits, full.now)) is not None:
                    return excess

    def refuse(self, key: Key, charge: Charge) -> None:
        """Count a charged request as refused instead."""
        names = {"organisation": key[0], "route": key[1], "now": self._now()}
        with wrap_database_errors(), self._engine.connect() as connection:
            connection.execute(_REFUSE, names | {"charged": charge.second})

    def sweep(self) -> None:
        """Remove the counters that count nothing any more."""
        now = select(text(_CLOCK)).params(now=self._now()).scalar_subquery()
        old = delete(RateCounterRow).where(RateCounterRow.second < now - _KEPT_S)
        with wrap_database_errors(), self._engine.connect() as connection:
            connection.execute(old)
