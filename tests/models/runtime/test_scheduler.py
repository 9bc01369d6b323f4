"""The scheduler: priorities without starvation, batches under load, one model at a time on a device."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, DeadlineExceededError, SchedulerClosedError
from models.roles import MATTING, MODERATION, Role
from models.runtime.calls import Call
from models.runtime.queued_task import Priority
from models.runtime.scheduled_models import ScheduledModels
from models.runtime.scheduler import Scheduler
from tests.helpers.fake_models import FakeModels

Wait = Callable[[Callable[[], bool]], None]


class BusyScheduler:
    """A scheduler whose only thread is blocked until `unblocked` is set; later calls are recorded in order."""

    def __init__(self) -> None:
        self.scheduler = Scheduler("test", 1)
        self.unblocked = threading.Event()
        self.done: list[str] = []
        started = threading.Event()

        def block() -> None:
            started.set()
            assert self.unblocked.wait(10)

        self.blocking = self.scheduler.submit(block)
        assert started.wait(10)

    def record(self, name: str, priority: Priority = Priority.CALL) -> "Future[None]":
        return self.scheduler.submit(lambda: self.done.append(name), priority)


@pytest.fixture
def busy() -> Iterator[BusyScheduler]:
    busy = BusyScheduler()
    yield busy
    busy.unblocked.set()
    assert busy.scheduler.close(10)


class TestPriorities:
    """Functions that run on the scheduler's threads."""

    def test_results_and_errors_are_returned(self) -> None:
        scheduler = Scheduler("test", 2)
        assert scheduler.submit(lambda: 7).result(10) == 7
        assert scheduler.submit(lambda: 8, Priority.JOB).result(10) == 8
        failed = scheduler.submit(lambda: [][1])
        with pytest.raises(IndexError):
            failed.result(10)
        assert scheduler.submit(lambda: 9, Priority.CHECK).result(10) == 9
        assert scheduler.close(10)

    def test_no_more_calls_run_than_there_are_threads(self, wait_until: Wait) -> None:
        scheduler = Scheduler("test", 2)
        proceed, started = threading.Event(), threading.Semaphore(0)

        def work() -> bool:
            started.release()
            return proceed.wait(10)

        futures = [scheduler.submit(work) for _ in range(5)]
        assert started.acquire(timeout=10)
        assert started.acquire(timeout=10)
        assert scheduler.waiting == 3
        assert not started.acquire(timeout=0.05)
        proceed.set()
        assert all(one.result(10) for one in futures)
        assert scheduler.waiting == 0
        assert scheduler.close(10)

    def test_checks_run_before_calls_and_calls_before_jobs(self, busy: BusyScheduler) -> None:
        futures = [busy.record(f"job {n}", Priority.JOB) for n in range(2)]
        futures += [busy.record(f"call {n}") for n in range(2)]
        futures += [busy.record(f"check {n}", Priority.CHECK) for n in range(2)]
        busy.unblocked.set()
        assert wait(futures, 10).not_done == set()
        assert busy.done == ["check 0", "check 1", "call 0", "call 1", "job 0", "job 1"]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (Priority.CALL, Priority.JOB),
            (Priority.CHECK, Priority.CALL),
            (Priority.CHECK, Priority.JOB),
            (Priority.CHECK_WITH_MODEL, Priority.JOB),
        ],
    )
    def test_lower_priorities_are_not_starved(
        self, busy: BusyScheduler, first: Priority, second: Priority
    ) -> None:
        futures = [busy.record("second", second)] + [busy.record("first", first) for _ in range(20)]
        busy.unblocked.set()
        assert wait(futures, 10).not_done == set()
        assert "second" in busy.done[:6]

    def test_a_job_is_not_starved_by_checks_and_calls_together(self, busy: BusyScheduler) -> None:
        futures = [busy.record("job", Priority.JOB)] + [busy.record("call") for _ in range(30)]
        futures += [busy.record("check", Priority.CHECK) for _ in range(30)]
        busy.unblocked.set()
        assert wait(futures, 10).not_done == set()
        assert "job" in busy.done[:26]

    def test_waiting_jobs_are_cancelled_and_calls_still_run(self, busy: BusyScheduler) -> None:
        job = busy.record("job", Priority.JOB)
        call = busy.record("call")
        busy.scheduler.stop_accepting_jobs()
        assert wait([job], 10).done
        busy.unblocked.set()
        call.result(10)
        with pytest.raises(CancelledError):
            job.result(10)
        with pytest.raises(SchedulerClosedError):
            busy.record("late", Priority.JOB)
        busy.record("last").result(10)
        assert busy.done == ["call", "last"]

    def test_after_stop_accepting_nothing_starts(self, busy: BusyScheduler) -> None:
        futures = [busy.record("x", priority) for priority in Priority]
        busy.scheduler.stop_accepting()
        busy.unblocked.set()
        busy.blocking.result(10)
        for one in futures:
            with pytest.raises(CancelledError):
                one.result(10)
        for priority in Priority:
            with pytest.raises(SchedulerClosedError):
                busy.record("late", priority)
        assert busy.done == []

    def test_a_cancelled_call_does_not_run(self, busy: BusyScheduler) -> None:
        call = busy.record("call")
        assert call.cancel()
        busy.unblocked.set()
        busy.record("next").result(10)
        assert busy.done == ["next"]

    def test_a_cancelled_call_leaves_the_queue_and_is_freed(self, busy: BusyScheduler) -> None:
        class Picture:
            pass

        picture = Picture()
        seen = weakref.ref(picture)
        call = busy.scheduler.submit(partial(str, picture))
        del picture
        assert busy.scheduler.waiting == 1
        assert call.cancel()
        assert busy.scheduler.waiting == 0
        del call
        assert seen() is None

    def test_an_error_does_not_keep_the_arguments_alive(self) -> None:
        class Picture:
            pass

        def fail(picture: Picture) -> None:
            raise ValueError("no")

        scheduler = Scheduler("test", 1)
        picture = Picture()
        seen = weakref.ref(picture)
        failed = scheduler.submit(partial(fail, picture))
        del picture
        with pytest.raises(ValueError, match="no"):
            failed.result(10)
        assert scheduler.submit(lambda: 1).result(10) == 1
        gc.disable()
        try:
            del failed
            assert seen() is None
        finally:
            gc.enable()
        assert scheduler.close(10)

    def test_close_returns_whether_all_work_is_done(self, busy: BusyScheduler) -> None:
        call = busy.record("call")
        assert not busy.scheduler.close(0.05)
        assert call.cancelled()
        busy.unblocked.set()
        assert busy.scheduler.close(10)
        assert busy.done == []


class TestChecks:
    """Checks, which run beside the workers, and the models that they need."""

    def test_only_checks_use_the_thread_for_checks(self) -> None:
        scheduler = Scheduler("test", 1, checks=1)
        proceed, started = threading.Event(), threading.Event()

        def block() -> None:
            started.set()
            assert proceed.wait(10)

        blocking = scheduler.submit(block)
        assert started.wait(10)
        futures = [scheduler.submit(lambda: None, p) for p in (Priority.CALL, Priority.JOB)]
        assert scheduler.submit(scheduler.is_check_thread, Priority.CHECK).result(10) is True
        assert wait(futures, 0.1).done == set()
        proceed.set()
        blocking.result(10)
        assert wait(futures, 10).not_done == set()
        assert scheduler.submit(scheduler.is_check_thread).result(10) is False
        assert scheduler.close(10)

    def test_a_check_with_a_model_waits_for_a_worker_and_blocks_no_other_check(
        self, wait_until: Wait
    ) -> None:
        seen: list[str] = []

        class Recording:
            def matte(self, rgb: Any) -> str:
                seen.append(threading.current_thread().name)
                return "a matte"

        scheduler = Scheduler("test", 1, checks=1)
        models = ScheduledModels(FakeModels({MATTING: Recording()}), scheduler)
        proceed, started = threading.Event(), threading.Event()

        def block() -> None:
            started.set()
            assert proceed.wait(10)

        def work() -> Any:
            with models.use(MATTING) as matting:
                return matting.matte(np.zeros((1, 1, 3), np.uint8))

        scheduler.submit(block)
        assert started.wait(10)
        call = scheduler.submit(lambda: seen.append("call"))
        check = scheduler.submit(work, Priority.CHECK)
        wait_until(lambda: scheduler.waiting == 2)
        assert scheduler.submit(lambda: 7, Priority.CHECK).result(10) == 7
        assert not check.done()
        proceed.set()
        assert check.result(10) == "a matte"
        call.result(10)
        assert seen == ["test-0", "call"]
        assert models.offers(MATTING)
        assert scheduler.close(10)

    def test_a_check_that_waits_for_a_worker_is_cancelled_at_the_end(
        self, wait_until: Wait
    ) -> None:
        scheduler = Scheduler("test", 1, checks=1)
        models = ScheduledModels(FakeModels(), scheduler)
        proceed, started, tried = threading.Event(), threading.Event(), threading.Event()

        def block() -> None:
            started.set()
            assert proceed.wait(10)

        def work() -> None:
            tried.set()
            with models.use(MATTING):
                pass

        scheduler.submit(block)
        assert started.wait(10)
        check = scheduler.submit(work, Priority.CHECK)
        assert tried.wait(10)
        wait_until(lambda: scheduler.waiting == 1)
        scheduler.stop_accepting()
        with pytest.raises(SchedulerClosedError):
            check.result(10)
        proceed.set()
        assert scheduler.close(10)


class Echo:
    """A matting model that returns its argument once `unblocked` is set."""

    def __init__(self) -> None:
        self.unblocked = threading.Event()
        self.unblocked.set()
        self.batches: list[list[Any]] = []

    def matte(self, value: Any) -> Any:
        self.batches.append([value])
        assert self.unblocked.wait(10)
        if isinstance(value, Exception):
            raise value
        return value

    def score(self, value: Any) -> Any:
        return self.matte(value)

    def batch_key(self, value: Any) -> type:
        if value == "no key":
            raise TypeError("this value has no key")
        return type(value)

    def infer(self, values: Sequence[Any]) -> list[Any]:
        if len(values) == 1:
            if values[0] == "no key":
                raise TypeError("this value has no key")
            return [self.matte(values[0])]
        self.batches.append(list(values))
        assert self.unblocked.wait(10)
        if "poison" in values:
            raise ValueError("one of them is bad")
        return list(values[1:] if "short" in values else values)


class Device:
    """The scheduler of a device with one model, and callers that each have their own thread."""

    def __init__(self, most: int = 1) -> None:
        self.model = Echo()
        self.running = 0
        self.scheduler = Scheduler("device", 1, self.use, {MATTING: most, MODERATION: most})
        self.callers = ThreadPoolExecutor(16)

    @contextmanager
    def use(self, role: Role[Any]) -> Iterator[Echo]:
        self.running += 1
        assert self.running == 1, "two models run on one device"
        try:
            yield self.model
        finally:
            self.running -= 1

    def call(
        self, value: Any, deadline: Deadline | None = None, role: Role[Any] = MATTING
    ) -> "Future[Any]":
        def make() -> Any:
            with deadline_scope(deadline or Deadline()):
                return self.scheduler.infer(role, value)

        return self.callers.submit(make)

    def queue(self, wait_until: Wait, *values: Any, role: Role[Any] = MATTING) -> list[Any]:
        """Block the model with a first call, and queue the others in this order."""
        self.model.unblocked.clear()
        before = len(self.model.batches)
        futures = [self.call(values[0], role=role)]
        wait_until(lambda: len(self.model.batches) == before + 1)
        for count, value in enumerate(values[1:], start=1):
            futures.append(self.call(value, role=role))
            wait_until(lambda count=count: self.scheduler.waiting == count)
        return futures


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device(most=3)
    yield device
    device.model.unblocked.set()
    assert device.scheduler.close(10)
    device.callers.shutdown()


class TestCalls:
    """Calls of models on a device that runs one at a time."""

    def test_each_caller_gets_its_own_result(self, device: Device) -> None:
        futures = [device.call(n) for n in range(200)]
        assert [one.result(10) for one in futures] == list(range(200))
        assert device.scheduler.waiting == 0

    def test_models_of_two_roles_never_run_at_the_same_time(self, device: Device) -> None:
        futures = [device.call(n, role=(MATTING, MODERATION)[n % 2]) for n in range(60)]
        assert [one.result(10) for one in futures] == list(range(60))

    def test_waiting_calls_with_the_same_key_become_a_batch(
        self, device: Device, wait_until: Wait
    ) -> None:
        futures = device.queue(wait_until, 0, 1, 2, "text", 3, 4)
        device.model.unblocked.set()
        assert [one.result(10) for one in futures] == [0, 1, 2, "text", 3, 4]
        assert device.model.batches == [[0], [1, 2, 3], ["text"], [4]]

    def test_calls_of_different_roles_do_not_share_a_batch(
        self, device: Device, wait_until: Wait
    ) -> None:
        futures = device.queue(wait_until, 0, 1)
        futures.append(device.call(2, role=MODERATION))
        wait_until(lambda: device.scheduler.waiting == 2)
        device.model.unblocked.set()
        assert [one.result(10) for one in futures] == [0, 1, 2]
        assert device.model.batches == [[0], [1], [2]]

    def test_a_batch_size_of_one_makes_no_batches(self, wait_until: Wait) -> None:
        device = Device(most=1)
        futures = device.queue(wait_until, 0, 1, 2)
        device.model.unblocked.set()
        assert [one.result(10) for one in futures] == [0, 1, 2]
        assert device.model.batches == [[0], [1], [2]]
        assert device.scheduler.close(10)

    def test_an_error_of_one_caller_does_not_reach_others(
        self, device: Device, wait_until: Wait
    ) -> None:
        futures = device.queue(wait_until, "first", "a", "poison", "b")
        device.model.unblocked.set()
        assert [one.result(10) for one in futures] == ["first", "a", "poison", "b"]

    def test_a_batch_with_too_few_results_is_run_one_by_one(
        self, device: Device, wait_until: Wait
    ) -> None:
        futures = device.queue(wait_until, "first", "a", "short", "b")
        device.model.unblocked.set()
        assert [one.result(10) for one in futures] == ["first", "a", "short", "b"]

    def test_calls_have_the_priority_of_the_work_that_makes_them(
        self, device: Device, wait_until: Wait
    ) -> None:
        device.queue(wait_until, 0)
        order: list[str] = []

        def make(name: str) -> None:
            device.scheduler.infer(MODERATION, name)
            order.append(name)

        workers = Scheduler("workers", 3)
        futures = []
        for count, priority in enumerate((Priority.JOB, Priority.CALL, Priority.CHECK), start=1):
            futures.append(workers.submit(partial(make, priority.name), priority))
            wait_until(lambda count=count: device.scheduler.waiting == count)
        device.model.batch_key = lambda value: value  # type: ignore[method-assign]
        device.model.unblocked.set()
        assert wait(futures, 10).not_done == set()
        assert device.model.batches[1:] == [["CHECK"], ["CALL"], ["JOB"]]
        assert workers.close(10)

    def test_a_call_without_a_key_fails_alone(self, device: Device, wait_until: Wait) -> None:
        futures = device.queue(wait_until, "first", "a", "no key", "b")
        device.model.unblocked.set()
        assert [futures[at].result(10) for at in (0, 1, 3)] == ["first", "a", "b"]
        with pytest.raises(TypeError, match="has no key"):
            futures[2].result(10)

    def test_an_error_of_the_model_reaches_the_caller_and_frees_the_device(
        self, device: Device
    ) -> None:
        for _ in range(3):
            with pytest.raises(KeyError, match="mine"):
                device.scheduler.call(MATTING, KeyError("mine"))
        assert device.scheduler.call(MATTING, 7) == 7

    def test_a_model_that_cannot_be_used_frees_the_device(self) -> None:
        @contextmanager
        def use(role: Role[Any]) -> Iterator[Any]:
            raise LookupError("no weights")
            yield

        scheduler = Scheduler("device", 1, use)
        for _ in range(3):
            with pytest.raises(LookupError):
                scheduler.call(MATTING, 1)
        assert scheduler.close(10)

    def test_a_caller_that_disconnects_while_waiting_is_not_served(
        self, device: Device, wait_until: Wait
    ) -> None:
        (first,) = device.queue(wait_until, 1)
        deadline = Deadline()
        gone = device.call(2, deadline)
        wait_until(lambda: device.scheduler.waiting == 1)
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            gone.result(10)
        device.model.unblocked.set()
        assert first.result(10) == 1
        assert device.call(3).result(10) == 3
        assert device.model.batches == [[1], [3]]

    def test_the_deadline_of_a_waiting_call_is_enforced(
        self, device: Device, wait_until: Wait
    ) -> None:
        (first,) = device.queue(wait_until, 1)
        late = device.call(2, Deadline(0.2))
        with pytest.raises(DeadlineExceededError):
            late.result(10)
        device.model.unblocked.set()
        first.result(10)

    def test_a_call_has_the_deadline_of_its_scope(self) -> None:
        with deadline_scope(Deadline()) as deadline:
            assert Call(MATTING).deadline is deadline

    def test_many_callers_that_disconnect_leave_an_empty_queue(self, device: Device) -> None:
        def call(n: int) -> "Future[Any]":
            deadline = Deadline()
            if n % 3 == 0:
                threading.Timer(0.001 * (n % 7), deadline.cancel).start()
            return device.call(n, deadline)

        futures = [call(n) for n in range(300)]
        for n, one in enumerate(futures):
            try:
                assert one.result(10) == n
            except CallerDisconnectedError:
                assert n % 3 == 0
        assert device.scheduler.waiting == 0

    def test_a_closed_device_takes_no_call(self, device: Device) -> None:
        assert device.scheduler.close(10)
        with pytest.raises(SchedulerClosedError):
            device.scheduler.call(MATTING, 1)
