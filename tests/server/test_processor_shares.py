"""The shares of the processor: who waits, and for how long."""

import asyncio

import pytest

from server.errors import BusyError
from server.processor_shares import NOBODY, ProcessorShares
from tests.helpers.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shares(clock: Clock) -> ProcessorShares:
    return ProcessorShares(2, clock)


def take(shares: ProcessorShares, organisation: str, seconds: float) -> None:
    """Let an organisation ask once, for some processor time."""
    shares.begin(organisation)
    shares.charge(organisation, seconds)
    shares.end(organisation)


def test_an_organisation_alone_never_waits(shares: ProcessorShares) -> None:
    shares.begin("a")
    shares.charge("a", 60.0)
    assert shares.wait_s("a") == 0


def test_organisations_do_not_wait_for_callers_without_a_token(shares: ProcessorShares) -> None:
    for name in (NOBODY, "a"):
        shares.begin(name)
        shares.charge(name, 60.0)
    assert shares.wait_s("a") == 0
    assert shares.wait_s(NOBODY) > 0


def test_the_one_above_its_share_waits_while_another_asks(
    shares: ProcessorShares, clock: Clock
) -> None:
    shares.begin("a")
    shares.charge("a", 60.0)
    shares.begin("b")
    shares.charge("b", 0.01)
    assert shares.wait_s("b") == 0
    first = shares.wait_s("a")
    assert 0.5 < first < 2  # of the 60 s only half a second counts
    clock.now += first + 0.01
    assert shares.wait_s("a") == 0


def test_it_waits_no_longer_than_the_other_one_asks(shares: ProcessorShares, clock: Clock) -> None:
    shares.begin("a")
    take(shares, "b", 0.01)
    shares.charge("a", 0.4)
    assert shares.wait_s("a") > 0
    clock.now += 2.0
    shares.charge("a", 0.4)
    assert shares.wait_s("a") == 0


@pytest.mark.parametrize(("other", "rate"), [(0.0, 0.25), (0.05, 0.2), (0.2, 0.125)])
def test_it_may_take_what_others_leave_or_an_equal_part(
    shares: ProcessorShares, clock: Clock, other: float, rate: float
) -> None:
    """Both ask in each hundredth of a second; what one gets in ten seconds is measured."""
    shares.begin("a")
    shares.begin("b")
    taken = 0.0
    for _ in range(1000):
        clock.now += 0.01
        shares.charge("b", other / 100)
        while shares.wait_s("a") == 0:
            shares.charge("a", 0.002)
            taken += 0.002
    assert taken / 10 == pytest.approx(rate, abs=0.03)


def test_accounts_are_dropped_when_their_organisations_ask_no_more(
    shares: ProcessorShares, clock: Clock
) -> None:
    for number in range(1000):
        take(shares, f"organisation-{number}", 0.001)
    shares.begin("a")
    clock.now += 2.0
    assert shares.wait_s("a") == 0
    assert not any(shares.asks(f"organisation-{number}") for number in range(1000))


async def test_requests_go_on_one_after_another_as_they_are_expected_to_cost(
    shares: ProcessorShares, clock: Clock
) -> None:
    shares.begin("a")
    shares.begin("b")
    for _ in range(100):
        shares.record("a", 0.1)
    assert await shares.turn("a") == pytest.approx(0.1)
    await shares.turn("a")  # the burst is not exceeded yet
    waiting = [asyncio.create_task(shares.turn("a")) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    clock.now += 0.5
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [task.done() for task in waiting] == [True, False, False]
    clock.now += 10
    await asyncio.gather(*waiting)


async def test_too_long_a_wait_is_refused(
    shares: ProcessorShares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.processor_shares._PATIENCE_S", 0.01)
    shares.begin("a")
    shares.begin("b")
    shares.charge("a", 60.0)
    with pytest.raises(BusyError) as refused:
        await shares.turn("a")
    assert refused.value.headers == {"Retry-After": "1"}
    assert await shares.turn("b") > 0


async def test_requests_at_once_wait_before_the_first_was_measured(shares: ProcessorShares) -> None:
    shares.begin("b")
    for _ in range(100):
        shares.begin("a")
    turns = [asyncio.create_task(shares.turn("a")) for _ in range(100)]
    await asyncio.sleep(0)
    assert 5 < sum(turn.done() for turn in turns) < 20
    for turn in turns:
        turn.cancel()
    await asyncio.gather(*turns, return_exceptions=True)


async def test_only_so_many_wait(shares: ProcessorShares) -> None:
    shares.begin("b")
    shares.begin("a")
    shares.charge("a", 60.0)
    waiting = [asyncio.create_task(shares.turn("a")) for _ in range(128)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await shares.turn("a")
    for turn in waiting:
        turn.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_callers_without_a_token_take_no_share_of_organisations(
    shares: ProcessorShares, clock: Clock
) -> None:
    waits = []
    for nobody in (0.0, 5.0):
        for name in ("a", "b", NOBODY):
            shares.begin(name)
        shares.charge(NOBODY, nobody)
        shares.charge("a", 1.0)
        waits.append(shares.wait_s("a"))
        for name in ("a", "b", NOBODY):
            shares.end(name)
        clock.now += 60
        shares.begin("c")
        shares.end("c")
    assert waits[0] > 0
    assert waits[0] == pytest.approx(waits[1])


@pytest.mark.parametrize(("processors", "total"), [(1, 0.125), (2, 0.25), (64, 0.5)])
def test_the_total_follows_the_processors(clock: Clock, processors: int, total: float) -> None:
    shares = ProcessorShares(processors, clock)
    shares.begin("a")
    shares.begin("b")
    shares.charge("a", 0.1 + total)
    assert shares.wait_s("a") == pytest.approx(min(total, 0.4) / total)
