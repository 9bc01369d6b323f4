"""A role's calls in this process: bounded, batched as the load grows, dropped when nobody waits."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from models.deadline import Deadline
from models.errors import CallerDisconnectedError, DeadlineExceededError, EngineBusyError
from models.roles import MATTING
from models.runtime.engine import Call
from models.runtime.lane import BatchQueue

Wait = Callable[[Callable[[], bool]], None]


class Echo:
    """A matting model that answers with what it is given, once it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.batches: list[list[Any]] = []

    def matte(self, value: Any) -> Any:
        self.batches.append([value])
        assert self.let.wait(10)
        if isinstance(value, Exception):
            raise value
        return value

    def batch_key(self, value: Any) -> type:
        return type(value)

    def predict_batch(self, calls: Sequence[tuple[tuple[Any], Any]]) -> list[Any]:
        values = [args[0] for args, _ in calls]
        self.batches.append(values)
        assert self.let.wait(10)
        if "poison" in values:
            raise ValueError("one of them is bad")
        return values


def lane(model: Echo, concurrency: int = 1, queue: int = 10, most: int = 1) -> BatchQueue:
    @contextmanager
    def lend() -> Iterator[Echo]:
        yield model

    return BatchQueue("matting", lend, concurrency, queue, most)


def call(value: Any, deadline: Deadline | None = None) -> Call:
    return Call(MATTING, (value,), deadline=deadline or Deadline())


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


def test_each_caller_gets_the_own_answer(callers: ThreadPoolExecutor) -> None:
    calls = lane(Echo(), concurrency=3, queue=200, most=4)
    assert list(callers.map(lambda n: calls.run(call(n)), range(200))) == list(range(200))
    assert calls.load().running == calls.load().waiting == 0


def test_no_more_are_at_work_than_may(callers: ThreadPoolExecutor, wait_until: Wait) -> None:
    model = Echo()
    model.let.clear()
    calls = lane(model, concurrency=2)
    made = [callers.submit(calls.run, call(n)) for n in range(5)]
    wait_until(lambda: calls.load().waiting == 3)
    assert calls.load().running == len(model.batches) == 2
    model.let.set()
    assert [one.result(10) for one in made] == list(range(5))


def test_what_waits_and_is_alike_goes_together(
    callers: ThreadPoolExecutor, wait_until: Wait
) -> None:
    model = Echo()
    model.let.clear()
    calls = lane(model, most=3)
    made = [callers.submit(calls.run, call(0))]
    wait_until(lambda: len(model.batches) == 1)
    for value in (1, 2, "text", 3, 4):
        made.append(callers.submit(calls.run, call(value)))
        wait_until(lambda: calls.load().waiting == len(made) - 1)
    model.let.set()
    assert [one.result(10) for one in made] == [0, 1, 2, "text", 3, 4]
    assert model.batches == [[0], [1, 2, 3], ["text"], [4]]


def test_one_callers_fault_is_no_others(callers: ThreadPoolExecutor, wait_until: Wait) -> None:
    model = Echo()
    model.let.clear()
    calls = lane(model, most=8)
    made = [callers.submit(calls.run, call("first"))]
    wait_until(lambda: len(model.batches) == 1)
    made += [callers.submit(calls.run, call(value)) for value in ("a", "poison", "b")]
    wait_until(lambda: calls.load().waiting == 3)
    model.let.set()
    assert [one.result(10) for one in made] == ["first", "a", "poison", "b"]


def test_a_models_error_reaches_who_called_and_frees_the_place() -> None:
    calls = lane(Echo())
    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            calls.run(call(KeyError("mine")))
    assert calls.run(call(7)) == 7


def test_a_model_that_cannot_be_lent_frees_the_place() -> None:
    @contextmanager
    def lend() -> Iterator[Echo]:
        raise LookupError("no weights")
        yield

    calls = BatchQueue("matting", lend, 1, 1, 4)
    for _ in range(3):
        with pytest.raises(LookupError):
            calls.run(call(1))


def test_a_full_queue_turns_away_and_tells_the_wait(
    callers: ThreadPoolExecutor, wait_until: Wait
) -> None:
    model = Echo()
    calls = lane(model, queue=2)
    calls.run(call(0))
    model.let.clear()
    made = [callers.submit(calls.run, call(n)) for n in range(3)]
    wait_until(lambda: calls.load().waiting == 2)
    with pytest.raises(EngineBusyError, match="2 calls wait for matting") as refusal:
        calls.run(call(9))
    assert refusal.value.retry_after >= 1
    model.let.set()
    assert [one.result(10) for one in made] == [0, 1, 2]


@pytest.mark.parametrize("most", [1, 4])
def test_who_leaves_while_waiting_is_never_worked_for(
    callers: ThreadPoolExecutor, wait_until: Wait, most: int
) -> None:
    model = Echo()
    model.let.clear()
    calls = lane(model, most=most)
    deadline = Deadline()
    first = callers.submit(calls.run, call(1))
    wait_until(lambda: len(model.batches) == 1)
    left = callers.submit(calls.run, call(2, deadline))
    wait_until(lambda: calls.load().waiting == 1)
    deadline.cancel()
    with pytest.raises(CallerDisconnectedError):
        left.result(10)
    assert calls.load().waiting == 0
    model.let.set()
    assert first.result(10) == 1
    assert calls.run(call(3)) == 3
    assert model.batches == [[1], [3]]


def test_a_deadline_travels_with_the_call(callers: ThreadPoolExecutor, wait_until: Wait) -> None:
    model = Echo()
    model.let.clear()
    calls = lane(model)
    first = callers.submit(calls.run, call(1))
    wait_until(lambda: len(model.batches) == 1)
    with pytest.raises(DeadlineExceededError):
        calls.run(call(2, Deadline(0.2)))
    model.let.set()
    first.result(10)


def test_many_callers_who_come_and_leave_lose_no_place(callers: ThreadPoolExecutor) -> None:
    calls = lane(Echo(), concurrency=2, queue=100, most=3)

    def come(n: int) -> int | None:
        deadline = Deadline()
        if n % 3 == 0:
            threading.Timer(0.001 * (n % 7), deadline.cancel).start()
        try:
            return int(calls.run(call(n, deadline)))
        except CallerDisconnectedError:
            return None

    answers = list(callers.map(come, range(300)))
    assert all(answer in (n, None) for n, answer in enumerate(answers))
    assert [a for n, a in enumerate(answers) if n % 3] == [n for n in range(300) if n % 3]
    deadline = time.monotonic() + 10
    while calls.load().running or calls.load().waiting:
        assert time.monotonic() < deadline
