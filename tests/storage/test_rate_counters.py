"""The counters of requests: what a window of 60 seconds holds, in memory and in PostgreSQL alike."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from storage.database import database_url
from storage.errors import DatabaseUnavailableError
from storage.rate_counters import (
    Charge,
    Counters,
    DatabaseCounters,
    Excess,
    Limits,
    MemoryCounters,
)
from storage.records import Records
from tests.helpers.clock import Clock
from tests.helpers.services import Postgres

KEY = ("a", "/v1/crop")
LIMITS = Limits(3, 5)


@pytest.fixture
def clock() -> Clock:
    """The clock of the counters."""
    return Clock(1_000_000.0)


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.slow)])
def counters(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Counters]:
    """Empty counters of each kind."""
    if request.param == "memory":
        yield MemoryCounters(clock)
        return
    records = Records(database_url(request.getfixturevalue("postgres").database()))
    yield DatabaseCounters(records.engine, clock)
    records.close()


def charged(counters: Counters, key: tuple[str, str] = KEY, limits: Limits = LIMITS) -> Charge:
    """Count a request that the window has room for."""
    charge = counters.charge(key, limits)
    assert isinstance(charge, Charge), charge
    return charge


def test_the_window_has_room_for_its_limit(counters: Counters) -> None:
    assert [charged(counters).remaining for _ in range(3)] == [2, 1, 0]
    assert counters.charge(KEY, LIMITS) == Excess(of_refused=False, retry_s=60)


def test_other_organisations_and_routes_are_counted_apart(counters: Counters) -> None:
    for _ in range(3):
        charged(counters)
    assert charged(counters, ("b", KEY[1])).remaining == 2
    assert charged(counters, ("a", "/v1/eraser")).remaining == 2


@pytest.mark.parametrize("sent", [(0, 0, 0), (0.9, 7.2, 7.9), (3, 3.5, 40), (0.1, 20, 59)])
def test_a_request_succeeds_after_the_time_that_was_told_and_not_before(
    counters: Counters, clock: Clock, sent: tuple[float, ...]
) -> None:
    start = clock.now
    for offset in sent:
        clock.now = start + offset
        charged(counters)
    clock.now = start + 59.3
    excess = counters.charge(KEY, LIMITS)
    assert isinstance(excess, Excess)
    told_at = clock.now
    clock.now = told_at + excess.retry_s - 1
    assert isinstance(counters.charge(KEY, LIMITS), Excess)
    clock.now = told_at + excess.retry_s
    charged(counters)


def test_one_request_a_second_never_waits_at_sixty_a_minute(
    counters: Counters, clock: Clock
) -> None:
    for _ in range(150):
        charged(counters, limits=Limits(60, 600))
        clock.now += 1


def test_what_is_told_of_more_room_is_when_the_oldest_request_leaves(
    counters: Counters, clock: Clock
) -> None:
    assert charged(counters).reset_s == 60
    clock.now += 25
    assert charged(counters).reset_s == 35


def test_a_refused_request_gives_its_place_back(counters: Counters, clock: Clock) -> None:
    first = charged(counters)
    clock.now += 10
    charged(counters)
    counters.refuse(KEY, first)
    assert [charged(counters).remaining for _ in range(2)] == [1, 0]
    assert counters.charge(KEY, LIMITS) == Excess(of_refused=False, retry_s=60)


def test_a_request_refused_after_the_window_takes_no_place_of_another(
    counters: Counters, clock: Clock
) -> None:
    first = charged(counters)
    clock.now += 61
    for _ in range(3):
        charged(counters)
    counters.refuse(KEY, first)
    assert isinstance(counters.charge(KEY, LIMITS), Excess)


def test_refused_requests_have_a_limit_of_their_own(counters: Counters, clock: Clock) -> None:
    for _ in range(5):
        counters.refuse(KEY, charged(counters))
        clock.now += 1
    assert counters.charge(KEY, LIMITS) == Excess(of_refused=True, retry_s=55)
    clock.now += 54
    assert counters.charge(KEY, LIMITS) == Excess(of_refused=True, retry_s=1)
    clock.now += 1
    charged(counters)


def test_a_clock_set_back_never_stops_a_caller_for_more_than_the_window(
    counters: Counters, clock: Clock
) -> None:
    for _ in range(3):
        charged(counters)
    clock.now -= 30
    assert counters.charge(KEY, LIMITS) == Excess(of_refused=False, retry_s=90)
    clock.now -= 3600
    charged(counters)


def test_a_sweep_removes_only_what_counts_nothing(counters: Counters, clock: Clock) -> None:
    for _ in range(3):
        charged(counters)
    clock.now += 59
    counters.sweep()
    assert isinstance(counters.charge(KEY, LIMITS), Excess)
    clock.now += 300
    counters.sweep()
    assert charged(counters).remaining == 2


def test_requests_at_once_never_exceed_the_limit(counters: Counters) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: counters.charge(KEY, Limits(20, 200)), range(60)))
    assert sum(isinstance(answer, Charge) for answer in answers) == 20


@pytest.fixture
def records(postgres: Postgres) -> Iterator[Records]:
    """The records in a new database of PostgreSQL."""
    records = Records(database_url(postgres.database()))
    yield records
    records.close()


def test_both_kinds_count_alike(records: Records, clock: Clock) -> None:
    draw = random.Random(18)
    both = (MemoryCounters(clock), DatabaseCounters(records.engine, clock))
    charges: list[Charge] = []
    for _ in range(600):
        clock.now += draw.choice([0, 0, 0.4, 1, 2.5, 11, 61, 200, -3, -90]) * draw.random()
        if charges and draw.random() < 0.4:
            charge = draw.choice(charges[-5:])
            for one in both:
                one.refuse(KEY, charge)
        else:
            limits = draw.choice([LIMITS, Limits(6, 9)])
            memory, database = (one.charge(KEY, limits) for one in both)
            assert memory == database
            if isinstance(memory, Charge):
                charges.append(memory)
    assert len(charges) > 100


def test_a_limit_that_was_lowered_holds_at_once(counters: Counters) -> None:
    for _ in range(3):
        charged(counters)
    assert isinstance(counters.charge(KEY, Limits(1, 10)), Excess)


def test_the_clock_is_that_of_the_database(records: Records) -> None:
    counters = DatabaseCounters(records.engine)
    charge = charged(counters)
    with records.engine.connect() as connection:
        now = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
    assert now is not None
    assert 0 <= now - charge.second < 60


def test_no_request_waits_for_a_disk(records: Records) -> None:
    with records.engine.connect() as connection:
        kind = "SELECT relpersistence FROM pg_class WHERE relname = 'rate_counters'"
        assert connection.scalar(text(kind)) == "u"


def test_a_database_that_is_away_is_reported(postgres: Postgres) -> None:
    records = Records(database_url(postgres.database()))
    counters = DatabaseCounters(records.engine)
    charge = charged(counters)
    calls: list[Callable[[], object]] = [
        lambda: counters.charge(KEY, LIMITS),
        lambda: counters.refuse(KEY, charge),
        counters.sweep,
    ]
    postgres.stop()
    try:
        for call in calls:
            with pytest.raises(DatabaseUnavailableError):
                call()
    finally:
        postgres.start()
        records.close()
