"""The worker threads: callers go before jobs, jobs never starve, an end is an end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait

import pytest

from server.jobs.workers import NoWorkersError, Workers

Wait = Callable[[Callable[[], bool]], None]


class Busy:
    """One worker, held until it is let go; what it does afterwards is noted in order."""

    def __init__(self) -> None:
        self.workers = Workers(1)
        self.let = threading.Event()
        self.done: list[str] = []
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            assert self.let.wait(10)

        self.held = self.workers.submit(hold)
        assert begun.wait(10)

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.let.set()
    busy.workers.stop_accepting_anything()


def test_results_and_errors_come_back() -> None:
    workers = Workers(2)
    assert workers.submit(lambda: 7).result(10) == 7
    assert workers.submit(lambda: 8, job=True).result(10) == 8
    failed = workers.submit(lambda: [][1])
    with pytest.raises(IndexError):
        failed.result(10)
    assert workers.submit(lambda: 9).result(10) == 9
    workers.stop_accepting_anything()


def test_callers_go_before_jobs(busy: Busy) -> None:
    jobs = [busy.workers.submit(busy.note(f"job {n}"), job=True) for n in range(2)]
    calls = [busy.workers.submit(busy.note(f"call {n}")) for n in range(3)]
    busy.let.set()
    for future in (*jobs, *calls):
        future.result(10)
    assert busy.done == ["call 0", "call 1", "call 2", "job 0", "job 1"]


def test_a_job_gets_its_turn_however_many_call(busy: Busy) -> None:
    job = busy.workers.submit(busy.note("job"), job=True)
    calls = [busy.workers.submit(busy.note("call")) for _ in range(20)]
    busy.let.set()
    job.result(10)
    for call in calls:
        call.result(10)
    assert "job" in busy.done[:6]


def test_jobs_that_have_not_begun_are_dropped_and_calls_go_on(busy: Busy) -> None:
    job = busy.workers.submit(busy.note("job"), job=True)
    call = busy.workers.submit(busy.note("call"))
    busy.workers.stop_accepting_jobs()
    assert wait([job], 10).done
    busy.let.set()
    call.result(10)
    with pytest.raises(CancelledError):
        job.result(10)
    with pytest.raises(NoWorkersError):
        busy.workers.submit(busy.note("late"), job=True)
    busy.workers.submit(busy.note("last")).result(10)
    assert busy.done == ["call", "last"]


def test_after_the_end_nothing_begins(busy: Busy) -> None:
    call = busy.workers.submit(busy.note("call"))
    busy.workers.stop_accepting_anything()
    busy.let.set()
    busy.held.result(10)
    with pytest.raises(CancelledError):
        call.result(10)
    with pytest.raises(NoWorkersError):
        busy.workers.submit(busy.note("late"))
    assert busy.done == []


def test_what_is_cancelled_is_not_done(busy: Busy) -> None:
    call = busy.workers.submit(busy.note("call"))
    assert call.cancel()
    busy.let.set()
    busy.workers.submit(busy.note("next")).result(10)
    assert busy.done == ["next"]


def test_the_end_tells_whether_all_is_done(busy: Busy) -> None:
    call = busy.workers.submit(busy.note("call"))
    assert not busy.workers.end(0.05)
    assert call.cancelled()
    busy.let.set()
    assert busy.workers.end(10)
    assert busy.done == []
