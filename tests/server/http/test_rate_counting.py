"""Counting requests in a database that is away, silent or back again, without holding up any of them."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from server.http.rate_counting import Counted, RateCounting
from storage.errors import DatabaseUnavailableError
from storage.rate_counters import Charge, Excess, Key, Limits, MemoryCounters
from tests.helpers.clock import Clock

KEY = ("a", "/v1/crop")
LIMITS = Limits(3, 30)


class Shared(MemoryCounters):
    """Counters in place of a database that can be away, or silent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.calls = 0
        self.error: Exception | None = None
        self.silent_until: threading.Event | None = None
        self.threads: set[int] = set()

    def _call(self) -> None:
        self.calls += 1
        self.threads.add(threading.get_ident())
        if self.silent_until is not None:
            self.silent_until.wait(60)
        if self.error is not None:
            raise self.error

    def charge(self, key: Key, limits: Limits) -> Charge | Excess:
        """Count a request, or fail."""
        self._call()
        return super().charge(key, limits)

    def refuse(self, key: Key, charge: Charge) -> None:
        """Count a request as refused, or fail."""
        self._call()
        super().refuse(key, charge)


@pytest.fixture
def clock() -> Clock:
    """The clock of the counting."""
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> Shared:
    """The counters in place of the database."""
    return Shared(clock)


@pytest.fixture
def counting(clock: Clock, shared: Shared) -> RateCounting:
    """Counting that waits long for the database, since the machine may be busy."""
    return RateCounting(MemoryCounters(clock), shared, clock, timeout_s=60)


async def charge(counting: RateCounting, count: int = 1) -> list[bool]:
    """Return of some requests one after another whether there was room."""
    return [isinstance(await counting.charge(KEY, LIMITS), Counted) for _ in range(count)]


def test_counts_are_those_of_the_database_and_not_made_in_the_event_loop(
    counting: RateCounting, shared: Shared
) -> None:
    assert asyncio.run(charge(counting, 4)) == [True, True, True, False]
    assert shared.calls == 4
    assert threading.get_ident() not in shared.threads


def test_a_flood_over_the_limit_asks_the_database_once_a_second(
    counting: RateCounting, shared: Shared, clock: Clock
) -> None:
    async def flood() -> None:
        await charge(counting, 3)
        for _ in range(3):
            assert await charge(counting, 20) == [False] * 20
            clock.now += 1

    asyncio.run(flood())
    assert shared.calls == 3 + 3


def test_a_refused_request_makes_room_at_once(counting: RateCounting) -> None:
    async def run() -> None:
        counted = await counting.charge(KEY, LIMITS)
        assert isinstance(counted, Counted)
        assert await charge(counting, 3) == [True, True, False]
        await counting.refuse(counted)
        assert await charge(counting, 2) == [True, False]

    asyncio.run(run())


def test_a_database_that_is_away_is_asked_after_each_pause_by_one_request(
    counting: RateCounting, shared: Shared, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def run() -> None:
        shared.error = DatabaseUnavailableError("no connection")
        assert await charge(counting, 5) == [True, True, True, False, False]
        assert shared.calls == 1
        clock.now += 5
        await asyncio.gather(*(charge(counting) for _ in range(10)))
        assert shared.calls == 2
        shared.error = None
        clock.now += 5
        assert await charge(counting, 3) == [True, True, True]
        assert shared.calls == 5

    asyncio.run(run())
    told = [record.message for record in caplog.records]
    assert told == [
        "requests are counted in memory, by each server for itself: no connection",
        "requests are counted in the database again",
    ]


def test_a_silent_database_holds_up_no_other_request(
    clock: Clock, shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    counting = RateCounting(MemoryCounters(clock), shared, clock, timeout_s=0.05)
    shared.silent_until = threading.Event()

    async def run() -> None:
        try:
            found = await asyncio.gather(
                *(counting.charge(KEY, Limits(99, 990)) for _ in range(50))
            )
            assert all(isinstance(one, Counted) for one in found)
            # The threads of all other work are free.
            assert await asyncio.to_thread(lambda: 1) == 1
            assert shared.calls <= 8
            calls = shared.calls
            assert await charge(counting, 20)
            assert shared.calls == calls
        finally:
            assert shared.silent_until is not None
            shared.silent_until.set()

    asyncio.run(run())
    assert caplog.text.count("no answer within 0.05 s") == 1


def test_a_request_counted_before_the_database_went_away_is_answered(
    counting: RateCounting, shared: Shared
) -> None:
    async def run() -> None:
        counted = await counting.charge(KEY, LIMITS)
        assert isinstance(counted, Counted)
        shared.error = DatabaseUnavailableError("no connection")
        await counting.refuse(counted)
        await counting.refuse(counted)

    asyncio.run(run())
    assert shared.calls == 2
