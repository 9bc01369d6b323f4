"""Stages: observers learn of each begin and end, of waits, and of the time within inner stages."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

from models.roles import MATTING
from models.runtime.calls import ModelProxy
from models.runtime.queued_task import Priority
from models.runtime.scheduled_models import ScheduledModels
from models.runtime.scheduler import Scheduler
from models.stages import Observer, Passed, Stage, exclude_wait, observing, stage, waited
from tests.helpers.fake_models import FakeModels

SPAN: ContextVar[str] = ContextVar("span", default="")


def no_sizes(role: Any) -> Any:
    return None


class Recorder(Observer):
    """Remembers what it was told; sets a context variable as a trace does."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self.spans: list[str] = []

    def begin(self, name: Stage, role: str) -> Any:
        self.spans.append(SPAN.get())
        return SPAN.set(f"{name} {role}".strip())

    def end(self, passed: Passed, begun: Any) -> None:
        self.passed.append(passed)
        if begun is not None:
            SPAN.reset(begun)

    def names(self) -> list[tuple[str, str]]:
        return [(one.name.value, one.role) for one in self.passed]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    with observing(found):
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("models.stages.time.perf_counter", lambda: now[0])
    return now


def test_own_seconds_are_those_without_inner_stages(recorder: Recorder, clock: list[float]) -> None:
    with stage(Stage.COMPOSE):
        clock[0] += 1
        with stage(Stage.MODEL, "matting"):
            clock[0] += 5
            exclude_wait(2)
        clock[0] += 1
    model, compose = recorder.passed
    assert (model.seconds, model.own_seconds) == (5, 3)
    assert (compose.seconds, compose.own_seconds) == (7, 2)


def test_an_inner_stage_sees_what_the_outer_one_has_set(recorder: Recorder) -> None:
    with stage(Stage.COMPOSE), stage(Stage.MODEL, "matting"):
        assert SPAN.get() == "model matting"
    assert recorder.spans == ["", "compose"]
    assert SPAN.get() == ""


def test_an_error_is_told_and_raised(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="wrong"), stage(Stage.DECODE):
        raise ValueError("wrong")
    assert isinstance(recorder.passed[0].error, ValueError)


def test_nothing_is_told_after_the_context() -> None:
    found = Recorder()
    with observing(found), stage(Stage.ENCODE):
        pass
    with stage(Stage.ENCODE):
        waited(1, "job")
    assert found.names() == [("encode", "")]


def test_an_observer_that_comes_within_a_stage_is_not_told_of_its_end() -> None:
    found = Recorder()
    context = observing(found)
    with stage(Stage.STORE):
        context.__enter__()
    context.__exit__(None, None, None)
    assert found.passed == []


def test_each_task_of_a_scheduler_has_waited_by_its_kind(recorder: Recorder) -> None:
    scheduler = Scheduler("worker", 1)
    for priority in (Priority.CHECK, Priority.CALL, Priority.JOB):
        scheduler.submit(lambda: None, priority).result()
    assert scheduler.close(10)
    assert recorder.names() == [("queue", "check"), ("queue", "call"), ("queue", "job")]


def test_a_cancelled_task_has_not_waited(recorder: Recorder) -> None:
    scheduler, go = Scheduler("worker", 1), threading.Event()
    first = scheduler.submit(lambda: go.wait(10))
    second = scheduler.submit(lambda: None)
    second.cancel()
    go.set()
    assert first.result()
    assert scheduler.close(10)
    assert recorder.names() == [("queue", "call")]


def test_a_call_of_a_device_waits_and_is_a_stage(recorder: Recorder) -> None:
    models = FakeModels()
    device = Scheduler("device", 1, models.use)

    class Engine(FakeModels):
        def use(self, role: Any) -> Any:
            return nullcontext(ModelProxy(role, device.call, no_sizes))

    scheduled = ScheduledModels(Engine(), Scheduler("worker", 1))
    with scheduled.use(MATTING) as matting:
        alpha = matting.matte(np.zeros((8, 8, 3), np.uint8))
    assert alpha.shape == (8, 8)
    assert recorder.names() == [("queue", "matting"), ("model", "matting")]
    assert device.close(10)


def test_what_is_not_the_method_of_the_role_is_passed_on() -> None:
    class Engine(FakeModels):
        def use(self, role: Any) -> Any:
            return nullcontext(type("Model", (), {"sizes": 7, "copies_texture": True})())

    with ScheduledModels(Engine(), Scheduler("worker", 1)).use(MATTING) as model:
        assert (model.sizes, model.copies_texture) == (7, True)  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            model.matte(np.zeros((1, 1, 3), np.uint8))
