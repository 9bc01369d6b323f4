"""The counts of other servers: exchanged in the background, and gone with the database."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from server.errors import BusyError
from server.http.admission import ConcurrencyLimit
from server.http.other_servers import OtherServers
from storage.errors import DatabaseUnavailableError
from storage.requests_in_work import InWork, Published, RequestsInWork
from tests.helpers.clock import Clock


class Table(RequestsInWork):
    """The table in place of the database, which can be away, or silent."""

    def __init__(self) -> None:
        self.calls: list[dict[str, InWork]] = []
        self.others: list[Published] = []
        self.error: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def exchange(self, counts: Mapping[str, InWork]) -> list[Published]:
        """Return what the test says."""
        self.calls.append(dict(counts))
        assert self.answers.wait(60)
        if self.error is not None:
            raise self.error
        return self.others

    def hold(self, *requests: int, age_s: float = 0.0) -> None:
        """Let each of some servers have requests of organisation a in work, which last 10 s each."""
        self.others = [Published(age_s, {"a": InWork(count, 10 * count)}) for count in requests]


@pytest.fixture
def table() -> Table:
    """The table; no other server is in it."""
    return Table()


@pytest.fixture
def clock() -> Clock:
    """The clock of the ages; it stands still unless the test moves it."""
    return Clock()


@asynccontextmanager
async def running(
    table: Table, clock: Clock, quota: int = 4
) -> AsyncIterator[tuple[ConcurrencyLimit, OtherServers]]:
    """Yield a limit and the other servers, whose counts are exchanged until the context ends."""
    others = OtherServers(table, clock=clock)
    limit = ConcurrencyLimit(64, 1, lambda: quota, others=others)
    task = asyncio.create_task(others.run(limit.in_work))
    try:
        await others.news()
        yield limit, others
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - it is no event of this loop
            await asyncio.sleep(0.01)


async def refusal(limit: ConcurrencyLimit, size: int = 0) -> BusyError:
    """Return the error of a request that gets no place. size: of its files in bytes."""
    with pytest.raises(BusyError) as caught:
        async with limit.place("a", 1, size):
            pass
    return caught.value


async def test_the_counts_of_all_others_are_added(table: Table, clock: Clock) -> None:
    table.hold(1, 2)
    async with running(table, clock) as (limit, others):
        assert (others.requests("a"), others.seconds("a")) == (3, 20)
        assert (others.requests("b"), others.seconds("b")) == (0, 0)
        async with limit.place("a", 1), limit.place("b", 1):
            error = await refusal(limit)
            assert error.headers == {"Retry-After": "20"}
            await until(lambda: table.calls[-1] == {"a": InWork(1, 1), "b": InWork(1, 1)})
        await until(lambda: table.calls[-1] == {})


async def test_a_change_is_told_soon_and_many_changes_together(table: Table, clock: Clock) -> None:
    async with running(table, clock, quota=0) as (limit, _):
        before = len(table.calls)
        for _ in range(1000):
            async with limit.place("a", 1):
                pass
        async with limit.place("a", 1):
            await until(lambda: "a" in table.calls[-1])
        assert len(table.calls) - before < 200


async def test_a_place_that_has_become_free_elsewhere_is_found_before_the_refusal(
    table: Table, clock: Clock
) -> None:
    table.hold(4)
    async with running(table, clock) as (limit, others):
        table.hold(3)  # not yet known here
        assert others.requests("a") == 4
        async with limit.place("a", 1):
            assert others.requests("a") == 3
            await refusal(limit)


async def test_what_the_own_server_refuses_waits_for_no_other(table: Table, clock: Clock) -> None:
    async with running(table, clock, quota=1) as (limit, _), limit.place("a", 1):
        table.answers.clear()
        try:
            looked = asyncio.create_task(refusal(limit))
            await asyncio.sleep(0)
            assert looked.done()
            await looked
        finally:
            table.answers.set()


async def test_a_few_requests_at_a_time_wait_for_newer_counts(table: Table, clock: Clock) -> None:
    table.hold(20)
    async with running(table, clock, quota=20) as (limit, _):
        table.answers.clear()
        try:
            looks = [asyncio.create_task(refusal(limit)) for _ in range(50)]
            await asyncio.sleep(0)
            assert sum(not look.done() for look in looks) == 16
            await asyncio.gather(*looks)
        finally:
            table.answers.set()


async def test_the_files_of_requests_that_wait_for_newer_counts_are_limited(
    table: Table, clock: Clock
) -> None:
    table.hold(20)
    async with running(table, clock, quota=20) as (limit, _):
        limit._max_bytes = lambda: 100
        table.answers.clear()
        try:
            looks = [asyncio.create_task(refusal(limit, 20)) for _ in range(10)]
            await asyncio.sleep(0)
            assert sum(not look.done() for look in looks) == 4
            await asyncio.gather(*looks)
        finally:
            table.answers.set()


async def test_counts_hold_for_five_seconds_from_their_publication(
    table: Table, clock: Clock
) -> None:
    table.hold(4, age_s=2.0)
    async with running(table, clock) as (limit, others):
        table.error = DatabaseUnavailableError("no connection")
        clock.now += 2.9
        assert others.requests("a") == 4
        clock.now += 0.2
        assert others.requests("a") == 0
        async with limit.place("a", 1):
            pass


async def test_a_database_that_hangs_holds_up_no_request_and_no_shutdown(
    table: Table, clock: Clock
) -> None:
    table.hold(4)
    try:
        async with running(table, clock) as (limit, others):
            table.answers.clear()
            calls = len(table.calls)
            others.tell()
            await until(lambda: len(table.calls) > calls)
            await refusal(limit)
            clock.now += 5
            async with limit.place("a", 1), limit.place("a", 1):
                pass
            assert len(table.calls) == calls + 1
    finally:
        table.answers.set()


@pytest.mark.parametrize("error", [DatabaseUnavailableError, RuntimeError])
async def test_an_outage_has_one_line_in_the_log_and_ends(
    table: Table,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    monkeypatch.setattr("server.http.other_servers._INTERVAL_S", 0.06)
    caplog.set_level("INFO")
    async with running(table, clock) as (_, others):
        table.error = error("no connection")
        calls = len(table.calls)
        await until(lambda: len(table.calls) >= calls + 3)
        table.error = None
        table.hold(2)
        await until(lambda: others.requests("a") == 2)
    assert [record.message for record in caplog.records] == [
        "requests in work are counted by each server for itself: no connection",
        "servers tell each other what they have in work again",
    ]


async def test_nothing_is_exchanged_while_no_limit_needs_it(table: Table, clock: Clock) -> None:
    asked = threading.Event()

    def is_needed() -> bool:
        asked.set()
        return False

    others = OtherServers(table, is_needed, clock)
    task = asyncio.create_task(others.run(dict))
    await until(asked.is_set)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert table.calls == []


async def test_without_a_database_the_task_ends() -> None:
    await OtherServers().run(dict)


async def test_what_others_have_is_told_by_organisation(table: Table, clock: Clock) -> None:
    table.others = [
        Published(0, {"a": InWork(2, 1), "b": InWork(1, 1)}),
        Published(0, {"a": InWork(3, 1)}),
    ]
    async with running(table, clock) as (_, others):
        await others.news()
        assert others.by_organisation() == {"a": 5, "b": 1}
        clock.now += 6
        table.error = DatabaseUnavailableError("away")
        assert others.by_organisation() == {}
