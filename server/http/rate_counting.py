"""Count requests in the database that servers share, and in memory while it is away."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from storage.errors import StorageError
from storage.rate_counters import Charge, Counters, Excess, Key, Limits

log = logging.getLogger("retouch")

R = TypeVar("R")

_TIMEOUT_S = 5.0
"""Longest time that a request waits for the database. A count takes about a millisecond, but servers stop
counting together when this is over, so that a moment of overload must not reach it."""
_PAUSE_S = 5.0
"""Time between two tries while the database is away, in seconds; one request makes each of them."""
_THREADS = 4
"""Counts at once; the threads of other work stay free."""
_REMEMBERED_S = 1.0
"""How long a full window is not asked for again, in seconds; it may get room when a request is refused."""


@dataclass(frozen=True)
class Counted:
    """A request that was counted, and where."""

    key: Key
    charge: Charge
    counters: Counters


class RateCounting:
    """Counts requests without blocking the event loop; the database cannot make it fail.

    memory: counts if there is no database, or while it is away: each server then counts for itself. shared:
    counts in the database, or None. clock: in seconds. timeout_s: for one count in the database.
    """

    def __init__(
        self,
        memory: Counters,
        shared: Counters | None,
        clock: Callable[[], float],
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._memory = memory
        self._shared = shared
        self._clock = clock
        self._timeout_s = timeout_s
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._is_away = False
        self._next_try = 0.0
        self._full: dict[Key, tuple[float, Excess]] = {}

    async def charge(self, key: Key, limits: Limits) -> Counted | Excess:
        """Count a request as accepted if its window has room for it."""
        if (known := self._known_excess(key)) is not None:
            return known
        if self._shared is None or not self._may_ask():
            return self._charge_in_memory(key, limits)
        found = await self._ask(self._shared.charge, key, limits)
        if found is None:
            return self._charge_in_memory(key, limits)
        if isinstance(found, Excess):
            self._full[key] = (self._clock(), found)
            return found
        return Counted(key, found, self._shared)

    def _charge_in_memory(self, key: Key, limits: Limits) -> Counted | Excess:
        found = self._memory.charge(key, limits)
        return found if isinstance(found, Excess) else Counted(key, found, self._memory)

    async def refuse(self, counted: Counted) -> None:
        """Count a request as refused that was counted as accepted."""
        self._full.pop(counted.key, None)
        if counted.counters is self._memory:
            self._memory.refuse(counted.key, counted.charge)
        elif self._may_ask():
            await self._ask(counted.counters.refuse, counted.key, counted.charge)

    def sweep(self) -> None:
        """Remove old counters; raises DatabaseUnavailableError."""
        self._memory.sweep()
        if self._shared is not None:
            self._shared.sweep()

    def _known_excess(self, key: Key) -> Excess | None:
        """Return why a window is full that was asked for just now, so that a flood costs no database."""
        checked, excess = self._full.get(key, (0.0, None))
        if excess is None or self._clock() - checked >= _REMEMBERED_S:
            self._full.pop(key, None)
            return None
        return excess

    def _may_ask(self) -> bool:
        """Whether to ask the database: always, but if it is away one request after each pause."""
        if not self._is_away:
            return True
        if self._clock() < self._next_try:
            return False
        self._next_try = self._clock() + _PAUSE_S
        return True

    async def _ask(self, call: Callable[..., R], *arguments: object) -> R | None:
        """Return what a call of the database returns; None if the database is away."""
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await anyio.to_thread.run_sync(
                    call, *arguments, abandon_on_cancel=True, limiter=self._threads
                )
        except (StorageError, SQLAlchemyError, TimeoutError) as error:
            self._set_away(error)
            return None
        if self._is_away:
            self._is_away = False
            log.info("requests are counted in the database again")
        return found

    def _set_away(self, error: Exception) -> None:
        if not self._is_away:
            reason = str(error) or f"no answer within {self._timeout_s:g} s"
            log.warning("requests are counted in memory, by each server for itself: %s", reason)
        self._is_away = True
        self._next_try = self._clock() + _PAUSE_S
