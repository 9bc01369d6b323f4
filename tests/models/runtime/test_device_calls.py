"""Calls of which only the network's part waits for the device: who runs what, and what becomes of errors."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, ModelOutOfMemoryError
from models.processing import Infer, make_call
from models.roles import CAPTIONING, MATTING, PROMPT_REFINEMENT, Role
from models.runtime.device_calls import DeviceCalls
from models.runtime.oom_retry import RetryOnOutOfMemory
from models.runtime.scheduler import Scheduler
from models.stages import Observer, Passed, Stage, observing, stage
from tests.helpers.cards import exclusive

Wait = Callable[[Callable[[], bool]], None]
RGB = np.zeros((16, 8, 3), np.uint8)


class Matting:
    """A model that notes what runs on which thread, and stops where `before` and `after` say."""

    def __init__(self) -> None:
        self.threads: list[tuple[str, str]] = []
        self.runs: list[list[Any]] = []
        self.before: Callable[[Any], None] = lambda rgb: None
        self.after: Callable[[Any], None] = lambda rgb: None
        self.within: Callable[[Sequence[Any]], None] = lambda inputs: None

    def matte(self, rgb: Any) -> Any:
        return make_call(self, rgb)

    @property
    def processing(self) -> Callable[..., Any]:
        return self._process

    def _process(self, infer: Infer, rgb: Any) -> Any:
        self._note("before")
        self.before(rgb)
        output = infer(("input", int(np.max(rgb)), rgb.shape))
        self._note("after")
        self.after(rgb)
        return ("matte", output)

    def batch_key(self, value: Any) -> str:
        return "all"

    def infer(self, inputs: Sequence[Any]) -> list[Any]:
        self._note("infer")
        self.runs.append(list(inputs))
        self.within(inputs)
        return [("output", one) for one in inputs]

    def _note(self, part: str) -> None:
        self.threads.append((part, threading.current_thread().name))


class Device:
    """The scheduler of a device with one model, and callers that each have their own thread."""

    def __init__(self, retry: Callable[[Role[Any]], RetryOnOutOfMemory | None]) -> None:
        self.model = Matting()
        self.scheduler = Scheduler("device", 1, self._use, {MATTING: 4}, retry)
        self.calls = DeviceCalls(self.scheduler, lambda role: self.model.processing)
        self.callers = ThreadPoolExecutor(8, "caller")

    @contextmanager
    def _use(self, role: Role[Any]) -> Iterator[Matting]:
        yield self.model

    def call(self, rgb: Any, deadline: Deadline | None = None) -> "Future[Any]":
        def make() -> Any:
            with deadline_scope(deadline or Deadline()):
                return self.calls.call(MATTING, rgb)

        return self.callers.submit(make)


def retry(role: Role[Any]) -> RetryOnOutOfMemory | None:
    return RetryOnOutOfMemory(role, "small", lambda: None) if role.retry else None


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device(retry)
    yield device
    assert device.scheduler.close(10)
    device.callers.shutdown()


def picture(level: int) -> Any:
    return np.full((16, 8, 3), level, np.uint8)


def matte_of(level: int) -> Any:
    return ("matte", ("output", ("input", level, (16, 8, 3))))


@pytest.mark.parametrize("part", ["before", "after"])
def test_a_call_at_work_on_the_processor_does_not_hold_the_device(
    device: Device, part: str
) -> None:
    there, proceed = threading.Event(), threading.Event()

    def stop(rgb: Any) -> None:
        if rgb.max() == 1:
            there.set()
            assert proceed.wait(10)

    setattr(device.model, part, stop)
    first = device.call(picture(1))
    assert there.wait(10)
    assert device.call(picture(2)).result(10) == matte_of(2)
    assert not first.done()
    proceed.set()
    assert first.result(10) == matte_of(1)


def test_only_the_network_runs_on_the_thread_of_the_device(device: Device) -> None:
    device.call(picture(1)).result(10)
    (before, one), (infer, other), (after, same) = device.model.threads
    assert (before, infer, after) == ("before", "infer", "after")
    assert one == same
    assert one.startswith("caller")
    assert other == "device-0"


def test_waiting_runs_become_one_batch(device: Device, wait_until: Wait) -> None:
    blocked = threading.Event()
    device.model.within = lambda inputs: None if blocked.wait(10) else pytest.fail("not let go")
    futures = [device.call(picture(0))]
    wait_until(lambda: len(device.model.runs) == 1)
    futures += [device.call(picture(level)) for level in (1, 2, 3)]
    wait_until(lambda: device.scheduler.waiting == 3)
    blocked.set()
    assert [one.result(10) for one in futures] == [matte_of(level) for level in range(4)]
    assert [len(run) for run in device.model.runs] == [1, 3]


def test_an_error_before_the_network_is_that_callers_own(device: Device, wait_until: Wait) -> None:
    blocked = threading.Event()

    def fail(rgb: Any) -> None:
        if rgb.max() == 2:
            raise ValueError("a bad picture")

    device.model.before = fail
    device.model.within = lambda inputs: None if blocked.wait(10) else pytest.fail("not let go")
    futures = [device.call(picture(0))]
    wait_until(lambda: len(device.model.runs) == 1)
    futures += [device.call(picture(level)) for level in (1, 2, 3)]
    with pytest.raises(ValueError, match="a bad picture"):
        futures[2].result(10)
    wait_until(lambda: device.scheduler.waiting == 2)
    blocked.set()
    assert [futures[at].result(10) for at in (0, 1, 3)] == [matte_of(at) for at in (0, 1, 3)]
    assert [len(run) for run in device.model.runs] == [1, 2]


def test_work_that_is_cancelled_before_its_network_never_runs_it(device: Device) -> None:
    deadline = Deadline()
    device.model.before = lambda rgb: deadline.cancel()
    with pytest.raises(CallerDisconnectedError):
        device.call(picture(1), deadline).result(10)
    assert device.model.runs == []


def test_work_that_is_cancelled_while_its_network_waits_is_not_served(
    device: Device, wait_until: Wait
) -> None:
    blocked, deadline = threading.Event(), Deadline()
    device.model.within = lambda inputs: None if blocked.wait(10) else pytest.fail("not let go")
    first = device.call(picture(1))
    wait_until(lambda: len(device.model.runs) == 1)
    gone = device.call(picture(2), deadline)
    wait_until(lambda: device.scheduler.waiting == 1)
    deadline.cancel()
    with pytest.raises(CallerDisconnectedError):
        gone.result(10)
    assert device.scheduler.waiting == 0
    blocked.set()
    assert first.result(10) == matte_of(1)
    assert len(device.model.runs) == 1


class Small:
    """A model that runs out of memory above half of RGB's height, in one part of a call."""

    def __init__(self, part: str, least: int = 0) -> None:
        self._part = part
        self._least = least
        self.heights: list[int] = []
        self.threads: list[str] = []

    def caption(self, rgb: Any) -> Any:
        return make_call(self, rgb)

    @property
    def processing(self) -> Callable[..., Any]:
        return self._process

    def _process(self, infer: Infer, rgb: Any) -> Any:
        self.heights.append(rgb.shape[0])
        self.threads.append(threading.current_thread().name)
        self._take("before", rgb)
        said = infer(rgb)
        self._take("after", rgb)
        return said

    def infer(self, inputs: Sequence[Any]) -> list[str]:
        self._take("infer", inputs[0])
        return [f"a cat of {one.shape[0]}" for one in inputs]

    def _take(self, part: str, rgb: Any) -> None:
        if part == self._part and rgb.shape[0] > self._least:
            raise MemoryError


@contextmanager
def small(model: Any, retry: Any = retry) -> Iterator[Callable[..., Any]]:
    @contextmanager
    def use(role: Role[Any]) -> Iterator[Any]:
        yield model

    scheduler = Scheduler("device", 1, use, retry=retry)
    yield DeviceCalls(scheduler, lambda role: model.processing).call
    assert scheduler.close(10)


@pytest.mark.parametrize("part", ["before", "infer", "after"])
def test_a_call_that_runs_out_of_memory_is_made_once_more_with_smaller_input(part: str) -> None:
    model = Small(part, least=8)
    with small(model) as call:
        assert call(CAPTIONING, RGB) == "a cat of 8"
    assert model.heights == [16, 8]
    assert model.threads == [threading.current_thread().name, "device-0"]


@pytest.mark.parametrize("part", ["before", "infer", "after"])
def test_running_out_of_memory_twice_is_an_error(part: str) -> None:
    model = Small(part)
    with (
        small(model) as call,
        pytest.raises(ModelOutOfMemoryError, match="needs more memory for this picture"),
    ):
        call(CAPTIONING, RGB)
    assert model.heights == [16, 8]


@pytest.mark.parametrize("part", ["before", "infer", "after"])
def test_without_a_smaller_call_memory_that_runs_out_is_an_error_at_once(part: str) -> None:
    model = Small(part)
    with small(model) as call, pytest.raises(MemoryError):
        call(PROMPT_REFINEMENT, RGB)
    assert model.heights == [16]


def test_a_model_that_cannot_be_loaded_for_want_of_memory_is_not_tried_again() -> None:
    tried: list[str] = []

    @contextmanager
    def use(role: Role[Any]) -> Iterator[Any]:
        tried.append(role.name)
        raise ModelOutOfMemoryError("it does not fit")
        yield

    scheduler = Scheduler("device", 1, use, retry=retry)
    calls = DeviceCalls(scheduler, lambda role: Small("none").processing)
    with pytest.raises(ModelOutOfMemoryError, match="does not fit"):
        calls.call(CAPTIONING, RGB)
    assert tried == ["captioning"]
    assert scheduler.close(10)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_a_call_stays_alive(fails: bool) -> None:
    class Value:
        pass

    made: list[weakref.ref[Any]] = []

    def new() -> Value:
        value = Value()
        made.append(weakref.ref(value))
        return value

    class Model:
        @property
        def processing(self) -> Callable[..., Any]:
            return self._process

        @staticmethod
        def _process(infer: Infer, rgb: Any) -> Any:
            infer(new())
            return new()

        def infer(self, inputs: Sequence[Any]) -> list[Any]:
            output = new()
            if fails:
                raise ValueError("no")
            return [output]

    gc.disable()
    try:
        with small(Model()) as call:
            for _ in range(
                2
            ):  # the thread of the device lets go of the first when it begins the second
                with pytest.raises(ValueError, match="no") if fails else nullcontext():
                    call(CAPTIONING, new())
        assert [one() for one in made] == [None] * len(made)
    finally:
        gc.enable()


def test_the_stages_of_a_call_add_up(wait_until: Wait) -> None:
    passed: list[Passed] = []

    class Notes(Observer):
        def end(self, one: Passed, begun: Any) -> None:
            passed.append(one)

    class Model:
        @property
        def processing(self) -> Callable[..., Any]:
            return lambda infer, rgb: infer(1) + infer(2)

        def infer(self, inputs: Sequence[Any]) -> list[Any]:
            return list(inputs)

    with observing(Notes()), small(Model()) as call, stage(Stage.MODEL, "captioning"):
        assert call(CAPTIONING, RGB) == 3
    waits = [one.seconds for one in passed if one.name is Stage.QUEUE]
    (model,) = [one for one in passed if one.name is Stage.MODEL]
    assert len(waits) == 2
    assert model.own_seconds + sum(waits) == pytest.approx(model.seconds)


def test_the_engine_divides_the_calls_of_a_model_that_was_loaded(tmp_path: Path) -> None:
    model = Matting()
    engine, _ = exclusive(tmp_path, {MATTING: model})

    def call() -> Any:
        with engine.use(MATTING) as matting:
            return matting.matte(picture(3))

    assert call() == call() == matte_of(3)
    here = threading.current_thread().name
    whole, divided = model.threads[:3], model.threads[3:]
    assert whole == [(part, "cpu-0") for part in ("before", "infer", "after")]
    assert divided == [("before", here), ("infer", "cpu-0"), ("after", here)]
    assert engine.close(10)


def test_the_engine_divides_the_first_call_after_the_warm_up(tmp_path: Path) -> None:
    model = Matting()
    engine, _ = exclusive(tmp_path, {MATTING: model})
    engine.warm_up()
    model.threads.clear()
    with engine.use(MATTING) as matting:
        matting.matte(picture(3))
    here = threading.current_thread().name
    assert model.threads == [("before", here), ("infer", "cpu-0"), ("after", here)]
    assert engine.close(10)
