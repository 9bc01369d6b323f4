"""Know what the other servers of a database have in work, without any request that waits for the database."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from storage.errors import StorageError
from storage.requests_in_work import LIFETIME_S, InWork, RequestsInWork

log = logging.getLogger("retouch")

_INTERVAL_S = 1.0
"""Longest time between two exchanges, in seconds; also the pause while the database is away."""
_GAP_S = 0.05
"""Shortest time between two exchanges, in seconds: a busy server makes 20 statements a second."""

Counts = Mapping[str, InWork]


class OtherServers:
    """What the other servers have in work, as they published it in the last five seconds.

    A background task exchanges the counts: once a second, and soon after each change here. So the counts of a
    server that was killed vanish after five seconds, and so do all others' while the database is away or
    hangs; this server then counts for itself.

    table: None if no other server shares the database. is_needed: whether any limit rests on the counts.
    clock: in seconds. Use it in one event loop.
    """

    def __init__(
        self,
        table: RequestsInWork | None = None,
        is_needed: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._is_needed = is_needed
        self._clock = clock
        self._known: list[tuple[float, Counts]] = []
        self._has_changed = asyncio.Event()
        self._news = asyncio.Event()
        self._is_away = False
        # A thread of its own: those of other work may all be waiting for a store.
        self._threads = anyio.CapacityLimiter(1)

    def requests(self, organisation: str) -> int:
        """Return how many requests of an organisation the others have in work."""
        return sum(one.requests for one in self._of(organisation))

    def seconds(self, organisation: str) -> int:
        """Return after how many seconds the others' requests of an organisation are expected to be done."""
        return max((one.seconds for one in self._of(organisation)), default=0)

    def _of(self, organisation: str) -> list[InWork]:
        now = self._clock()
        return [
            counts[organisation]
            for expires, counts in self._known
            if organisation in counts and now < expires
        ]

    def by_organisation(self) -> Counter[str]:
        """Return how many requests of each organisation the others have in work."""
        now, found = self._clock(), Counter[str]()
        for expires, counts in self._known:
            if now < expires:
                found.update({name: one.requests for name, one in counts.items()})
        return found

    def tell(self) -> None:
        """Exchange the counts soon, because those of this server have changed."""
        self._has_changed.set()

    async def news(self) -> None:
        """Wait until the counts have been exchanged once more."""
        self.tell()
        await self._news.wait()

    async def run(self, own: Callable[[], Counts]) -> None:
        """Exchange the counts until the task is cancelled. own: returns those of this server."""
        if self._table is None:
            return
        while True:
            self._has_changed.clear()
            if self._is_needed() and await self._exchange(self._table, own()):
                await asyncio.sleep(_GAP_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_INTERVAL_S - _GAP_S):
                        await self._has_changed.wait()
            else:
                await asyncio.sleep(_INTERVAL_S)

    async def _exchange(self, table: RequestsInWork, own: Counts) -> bool:
        """Exchange the counts once; return whether the database answered."""
        began = self._clock()
        try:
            # At the shutdown nothing waits for a database that hangs.
            found = await anyio.to_thread.run_sync(
                table.exchange, own, abandon_on_cancel=True, limiter=self._threads
            )
            known = [(began + LIFETIME_S - one.age_s, one.counts) for one in found]
        except (
            Exception
        ) as error:  # of whatever kind: without this task the counts would be missing for ever
            if not self._is_away:
                log.warning(
                    "requests in work are counted by each server for itself: %s",
                    error,
                    exc_info=not isinstance(error, StorageError | SQLAlchemyError),
                )
            self._is_away = True
            return False
        if self._is_away:
            log.info("servers tell each other what they have in work again")
        self._is_away = False
        self._known = known
        self._news.set()
        self._news = asyncio.Event()
        return True
