"""Limit the number of concurrent requests, shared out among organisations, and tell when to retry."""

import asyncio
import math
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from server.errors import busy_error
from server.http.body_arrivals import SHARE_OF_FREE
from server.http.other_servers import OtherServers
from server.shares import Shares
from storage.requests_in_work import InWork

_MAX_RETRY_AFTER_S = 3600
_MEBIBYTE = 2**20
_KEPT = 0.9
"""How much of the earlier measurements each new one leaves: about ten count."""
_LOOK_S = 0.5
"""How long a request waits for newer counts of other servers before theirs refuse it, in seconds. They take
0.1 s, on a busy machine 0.3 s: a caller that has an answer of one server may send its next request to another."""
_LOOKS = 16
"""Requests of one organisation that wait for that at the same time."""


@dataclass
class _Work:
    """Work of one organisation, in seconds of a worker.

    waiting: expected of the requests in work. expected, measured: of those that have ended lately. size: of
    the pictures of the requests in work, in bytes.
    """

    waiting: float = 0.0
    expected: float = 1.0
    measured: float = 1.0
    size: int = 0

    def record(self, expected: float, measured: float) -> None:
        """Add a request that has ended."""
        self.expected = _KEPT * self.expected + expected
        self.measured = _KEPT * self.measured + measured


class ConcurrencyLimit:
    """Admits at most `limit` requests at the same time, and each organisation to its share of them.

    A request holds a place while it works or waits for a worker; not while its body arrives, nor while
    its pictures are fetched. workers: how many requests run in parallel, to estimate the waiting time.
    quota: returns the most requests of one organisation; 0 for none. max_bytes: returns the most bytes that the
    files of all requests with a place may have, because they stay in memory while a request waits: an
    organisation may hold eight times as many as are free then, and one request in any case. others: what
    organisations have in work there counts towards their quotas. Use it in one event loop.
    """

    def __init__(
        self,
        limit: int,
        workers: int,
        quota: Callable[[], int] = lambda: 0,
        max_bytes: Callable[[], int] = lambda: sys.maxsize,
        others: OtherServers | None = None,
    ) -> None:
        self._others = others or OtherServers()
        self._shares = Shares(limit, quota, self._others.requests)
        self._looking: Counter[str] = Counter()
        self._looking_bytes: Counter[str] = Counter()
        self._max_bytes = max_bytes
        self._workers = workers
        self._works: dict[str, _Work] = {}
        self._all = _Work()

    async def check(self, organisation: str) -> None:
        """Raise BusyError if an organisation would get no place now; Retry-After is when its work is done."""
        await self._look_again(organisation)
        self._check_place(organisation)

    def _check_place(self, organisation: str) -> None:
        if not self._shares.has_place(organisation):
            held = self._shares.held(organisation) + self._others.requests(organisation)
            raise busy_error(
                f"{held} requests of this organisation are in work already,"
                " as many as it may have at the moment",
                self._retry_after(organisation),
            )

    async def _look_again(self, organisation: str, size: int = 0) -> None:
        """Wait for newer counts of the other servers while theirs alone leave an organisation no place.

        size: of the request's files, which count as those of a request with a place. Raises BusyError.
        """
        looking = self._looking[organisation]
        if looking >= _LOOKS or not self._shares.lacks_only_places_elsewhere(organisation, looking):
            return
        self._check_bytes(organisation, size)
        self._looking[organisation] += 1
        self._looking_bytes[organisation] += size
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    while self._shares.lacks_only_places_elsewhere(organisation):
                        await self._others.news()
        finally:
            self._looking[organisation] -= 1
            self._looking_bytes[organisation] -= size
            if not self._looking[organisation]:
                del self._looking[organisation], self._looking_bytes[organisation]

    def in_work(self) -> dict[str, InWork]:
        """Return what each organisation has in work here."""
        return {
            organisation: InWork(self._shares.held(organisation), self._seconds(organisation))
            for organisation in self._works
        }

    def _check_bytes(self, organisation: str, size: int) -> None:
        """Raise BusyError if an organisation has its share of the bytes, by the rule of `BodyArrivals`."""
        held = self._looking_bytes[organisation]
        held += self._works[organisation].size if organisation in self._works else 0
        taken = sum(work.size for work in self._works.values()) + self._looking_bytes.total()
        free = self._max_bytes() - taken - size
        if held and held + size > SHARE_OF_FREE * free:
            raise busy_error(
                f"The requests of this organisation that are in work have {held / _MEBIBYTE:.1f} MiB of"
                " pictures already, as many as they may have at the moment",
                self._retry_after(organisation),
            )

    @asynccontextmanager
    async def place(self, organisation: str, seconds: float, size: int = 0) -> AsyncIterator[None]:
        """Hold a place for a request that is expected to take some seconds of a worker; raises BusyError.

        size: of its files in bytes.
        """
        await self._look_again(organisation, size)
        # From here on nothing waits until the place is taken.
        self._check_place(organisation)
        self._check_bytes(organisation, size)
        self._shares.take(organisation)
        work = self._works.setdefault(
            organisation, _Work(0, self._all.expected, self._all.measured)
        )
        work.waiting += seconds
        work.size += size
        self._others.tell()
        try:
            yield
        finally:
            work.waiting -= seconds
            work.size -= size
            self._shares.give_back(organisation)
            if not self._shares.held(organisation):
                del self._works[organisation]
            self._others.tell()

    def record(self, organisation: str, expected: float, seconds: float) -> None:
        """Add the duration of one request to what corrects the expected ones."""
        self._all.record(expected, seconds)
        if (work := self._works.get(organisation)) is not None:
            work.record(expected, seconds)

    def _retry_after(self, organisation: str) -> int:
        """Return the seconds after which the requests of an organisation are done, on all servers."""
        return max(self._seconds(organisation), self._others.seconds(organisation))

    def _seconds(self, organisation: str) -> int:
        """Return the seconds after which those of this server are done by its share of the workers, 1 or more."""
        if (work := self._works.get(organisation)) is None:
            return 1
        workers = max(1.0, self._workers / len(self._shares))
        seconds = work.waiting * work.measured / work.expected / workers
        return min(max(1, math.ceil(seconds)), _MAX_RETRY_AFTER_S)


class FetchLimit:
    """Limits the pictures that are fetched at the same time, and each organisation to its share of them.

    timeout_s: of one fetch, after which a place is free at the latest. Use it in one event loop.
    """

    def __init__(self, limit: int, timeout_s: float) -> None:
        self._shares = Shares(limit)
        self._retry_after = math.ceil(timeout_s)

    @contextmanager
    def place(self, organisation: str) -> Iterator[None]:
        """Hold a place while a picture is fetched; raises BusyError."""
        if not self._shares.has_place(organisation):
            raise busy_error(
                f"{self._shares.held(organisation)} pictures of this organisation are being fetched"
                " already, as many as it may have at the moment",
                self._retry_after,
            )
        self._shares.take(organisation)
        try:
            yield
        finally:
            self._shares.give_back(organisation)


class TurnLimit:
    """Lets each organisation have a few lookups at a time, so that none fills the threads of all.

    limit: of one organisation; its others wait in their order. Use it in one event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, organisation: str) -> asyncio.Semaphore:
        """Return the turns of an organisation."""
        return self._turns.setdefault(organisation, asyncio.Semaphore(self._limit))
