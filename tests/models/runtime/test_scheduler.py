"""The scheduler: priorities that do not starve, batches as the load grows, one model at a time on a device."""

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
from models.runtime.scheduler import Priority, ScheduledModels, Scheduler
from tests.helpers.fake_models import FakeModels

Wait = Callable[[Callable[[], bool]], None]


class Busy:
    """A scheduler whose one thread is held until it is let go; what it does afterwards is noted in order."""

    def __init__(self) -> None:
        self.scheduler = Scheduler("test", 1)
        self.let = threading.Event()
        self.done: list[str] = []
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            assert self.let.wait(10)

        self.held = self.scheduler.submit(hold)
        assert begun.wait(10)

    def note(self, name: str, priority: Priority = Priority.CALL) -> "Future[None]":
        return self.scheduler.submit(lambda: self.done.append(name), priority)


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.let.set()
    assert busy.scheduler.close(10)


class TestPriorities:
    """Functions on the scheduler's threads."""

    def test_results_and_errors_come_back(self) -> None:
        scheduler = Scheduler("test", 2)
        assert scheduler.submit(lambda: 7).result(10) == 7
        assert scheduler.submit(lambda: 8, Priority.JOB).result(10) == 8
        failed = scheduler.submit(lambda: [][1])
        with pytest.raises(IndexError):
            failed.result(10)
        assert scheduler.submit(lambda: 9, Priority.CHECK).result(10) == 9
        assert scheduler.close(10)

    def test_no_more_is_at_work_than_there_are_threads(self, wait_until: Wait) -> None:
        scheduler = Scheduler("test", 2)
        let, begun = threading.Event(), threading.Semaphore(0)

        def work() -> bool:
            begun.release()
            return let.wait(10)

        made = [scheduler.submit(work) for _ in range(5)]
        assert begun.acquire(timeout=10)
        assert begun.acquire(timeout=10)
        assert scheduler.waiting == 3
        assert not begun.acquire(timeout=0.05)
        let.set()
        assert all(one.result(10) for one in made)
        assert scheduler.waiting == 0
        assert scheduler.close(10)

    def test_checks_go_before_calls_and_calls_before_jobs(self, busy: Busy) -> None:
        made = [busy.note(f"job {n}", Priority.JOB) for n in range(2)]
        made += [busy.note(f"call {n}") for n in range(2)]
        made += [busy.note(f"check {n}", Priority.CHECK) for n in range(2)]
        busy.let.set()
        assert wait(made, 10).not_done == set()
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
    def test_what_waits_gets_its_turn_however_much_goes_first(
        self, busy: Busy, first: Priority, second: Priority
    ) -> None:
        made = [busy.note("second", second)] + [busy.note("first", first) for _ in range(20)]
        busy.let.set()
        assert wait(made, 10).not_done == set()
        assert "second" in busy.done[:6]

    def test_a_job_gets_its_turn_behind_checks_and_calls(self, busy: Busy) -> None:
        made = [busy.note("job", Priority.JOB)] + [busy.note("call") for _ in range(30)]
        made += [busy.note("check", Priority.CHECK) for _ in range(30)]
        busy.let.set()
        assert wait(made, 10).not_done == set()
        assert "job" in busy.done[:26]

    def test_jobs_that_have_not_begun_are_dropped_and_calls_go_on(self, busy: Busy) -> None:
        job = busy.note("job", Priority.JOB)
        call = busy.note("call")
        busy.scheduler.stop_accepting_jobs()
        assert wait([job], 10).done
        busy.let.set()
        call.result(10)
        with pytest.raises(CancelledError):
            job.result(10)
        with pytest.raises(SchedulerClosedError):
            busy.note("late", Priority.JOB)
        busy.note("last").result(10)
        assert busy.done == ["call", "last"]

    def test_after_the_end_nothing_begins(self, busy: Busy) -> None:
        made = [busy.note("x", priority) for priority in Priority]
        busy.scheduler.stop_accepting()
        busy.let.set()
        busy.held.result(10)
        for one in made:
            with pytest.raises(CancelledError):
                one.result(10)
        for priority in Priority:
            with pytest.raises(SchedulerClosedError):
                busy.note("late", priority)
        assert busy.done == []

    def test_what_is_cancelled_is_not_done(self, busy: Busy) -> None:
        call = busy.note("call")
        assert call.cancel()
        busy.let.set()
        busy.note("next").result(10)
        assert busy.done == ["next"]

    def test_who_leaves_takes_the_own_work_out_of_the_queue(self, busy: Busy) -> None:
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

    def test_an_error_keeps_nothing_of_its_work_alive(self) -> None:
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

    def test_closing_tells_whether_all_is_done(self, busy: Busy) -> None:
        call = busy.note("call")
        assert not busy.scheduler.close(0.05)
        assert call.cancelled()
        busy.let.set()
        assert busy.scheduler.close(10)
        assert busy.done == []


class TestChecks:
    """Work that goes on beside the workers, and the models that it needs."""

    def test_checks_have_a_thread_of_their_own_and_nothing_else_has(self) -> None:
        scheduler = Scheduler("test", 1, checks=1)
        let, begun = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            assert let.wait(10)

        held = scheduler.submit(hold)
        assert begun.wait(10)
        made = [scheduler.submit(lambda: None, p) for p in (Priority.CALL, Priority.JOB)]
        assert scheduler.submit(scheduler.is_check_thread, Priority.CHECK).result(10) is True
        assert wait(made, 0.1).done == set()
        let.set()
        held.result(10)
        assert wait(made, 10).not_done == set()
        assert scheduler.submit(scheduler.is_check_thread).result(10) is False
        assert scheduler.close(10)

    def test_a_check_that_needs_a_model_waits_for_a_worker_and_holds_up_no_other(
        self, wait_until: Wait
    ) -> None:
        seen: list[str] = []

        class Noting:
            def matte(self, rgb: Any) -> str:
                seen.append(threading.current_thread().name)
                return "a matte"

        scheduler = Scheduler("test", 1, checks=1)
        models = ScheduledModels(FakeModels({MATTING: Noting()}), scheduler)
        let, begun = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            assert let.wait(10)

        def work() -> Any:
            with models.use(MATTING) as matting:
                return matting.matte(np.zeros((1, 1, 3), np.uint8))

        scheduler.submit(hold)
        assert begun.wait(10)
        call = scheduler.submit(lambda: seen.append("call"))
        check = scheduler.submit(work, Priority.CHECK)
        wait_until(lambda: scheduler.waiting == 2)
        assert scheduler.submit(lambda: 7, Priority.CHECK).result(10) == 7
        assert not check.done()
        let.set()
        assert check.result(10) == "a matte"
        call.result(10)
        assert seen == ["test-0", "call"]
        assert models.offers(MATTING)
        assert scheduler.close(10)

    def test_a_check_that_waits_for_a_worker_is_told_when_there_will_be_none(
        self, wait_until: Wait
    ) -> None:
        scheduler = Scheduler("test", 1, checks=1)
        models = ScheduledModels(FakeModels(), scheduler)
        let, begun, tried = threading.Event(), threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            assert let.wait(10)

        def work() -> None:
            tried.set()
            with models.use(MATTING):
                pass

        scheduler.submit(hold)
        assert begun.wait(10)
        check = scheduler.submit(work, Priority.CHECK)
        assert tried.wait(10)
        wait_until(lambda: scheduler.waiting == 1)
        scheduler.stop_accepting()
        with pytest.raises(SchedulerClosedError):
            check.result(10)
        let.set()
        assert scheduler.close(10)


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

    def score(self, value: Any) -> Any:
        return self.matte(value)

    def batch_key(self, value: Any) -> type:
        if value == "no key":
            raise TypeError("this cannot be told")
        return type(value)

    def predict_batch(self, calls: Sequence[tuple[tuple[Any], Any]]) -> list[Any]:
        values = [args[0] for args, _ in calls]
        self.batches.append(values)
        assert self.let.wait(10)
        if "poison" in values:
            raise ValueError("one of them is bad")
        if "short" in values:
            return values[1:]
        return values


class Device:
    """A device's scheduler around one model, and callers who each wait on a thread of their own."""

    def __init__(self, most: int = 1) -> None:
        self.model = Echo()
        self.at_work = 0
        self.scheduler = Scheduler("device", 1, self.use, {MATTING: most, MODERATION: most})
        self.callers = ThreadPoolExecutor(16)

    @contextmanager
    def use(self, role: Role[Any]) -> Iterator[Echo]:
        self.at_work += 1
        assert self.at_work == 1, "two models are at work on one device"
        try:
            yield self.model
        finally:
            self.at_work -= 1

    def call(
        self, value: Any, deadline: Deadline | None = None, role: Role[Any] = MATTING
    ) -> "Future[Any]":
        def make() -> Any:
            with deadline_scope(deadline or Deadline()):
                return self.scheduler.call(role, value)

        return self.callers.submit(make)

    def queue(self, wait_until: Wait, *values: Any, role: Role[Any] = MATTING) -> list[Any]:
        """Hold the model with a first call, and have others wait in this order."""
        self.model.let.clear()
        before = len(self.model.batches)
        made = [self.call(values[0], role=role)]
        wait_until(lambda: len(self.model.batches) == before + 1)
        for count, value in enumerate(values[1:], start=1):
            made.append(self.call(value, role=role))
            wait_until(lambda count=count: self.scheduler.waiting == count)
        return made


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device(most=3)
    yield device
    device.model.let.set()
    assert device.scheduler.close(10)
    device.callers.shutdown()


class TestCalls:
    """Calls of models on a device that works on one at a time."""

    def test_each_caller_gets_the_own_answer(self, device: Device) -> None:
        made = [device.call(n) for n in range(200)]
        assert [one.result(10) for one in made] == list(range(200))
        assert device.scheduler.waiting == 0

    def test_models_of_two_roles_are_never_at_work_together(self, device: Device) -> None:
        made = [device.call(n, role=(MATTING, MODERATION)[n % 2]) for n in range(60)]
        assert [one.result(10) for one in made] == list(range(60))

    def test_what_waits_and_is_alike_goes_together(self, device: Device, wait_until: Wait) -> None:
        made = device.queue(wait_until, 0, 1, 2, "text", 3, 4)
        device.model.let.set()
        assert [one.result(10) for one in made] == [0, 1, 2, "text", 3, 4]
        assert device.model.batches == [[0], [1, 2, 3], ["text"], [4]]

    def test_calls_of_another_role_do_not_go_together(
        self, device: Device, wait_until: Wait
    ) -> None:
        made = device.queue(wait_until, 0, 1)
        made.append(device.call(2, role=MODERATION))
        wait_until(lambda: device.scheduler.waiting == 2)
        device.model.let.set()
        assert [one.result(10) for one in made] == [0, 1, 2]
        assert device.model.batches == [[0], [1], [2]]

    def test_without_a_gain_each_is_made_alone(self, wait_until: Wait) -> None:
        device = Device(most=1)
        made = device.queue(wait_until, 0, 1, 2)
        device.model.let.set()
        assert [one.result(10) for one in made] == [0, 1, 2]
        assert device.model.batches == [[0], [1], [2]]
        assert device.scheduler.close(10)

    def test_one_callers_fault_is_no_others(self, device: Device, wait_until: Wait) -> None:
        made = device.queue(wait_until, "first", "a", "poison", "b")
        device.model.let.set()
        assert [one.result(10) for one in made] == ["first", "a", "poison", "b"]

    def test_a_batch_with_a_result_too_few_is_made_one_by_one(
        self, device: Device, wait_until: Wait
    ) -> None:
        made = device.queue(wait_until, "first", "a", "short", "b")
        device.model.let.set()
        assert [one.result(10) for one in made] == ["first", "a", "short", "b"]

    def test_calls_of_work_that_goes_first_go_first(self, device: Device, wait_until: Wait) -> None:
        device.queue(wait_until, 0)
        order: list[str] = []

        def make(name: str) -> None:
            device.scheduler.call(MODERATION, name)
            order.append(name)

        workers = Scheduler("workers", 3)
        made = []
        for count, priority in enumerate((Priority.JOB, Priority.CALL, Priority.CHECK), start=1):
            made.append(workers.submit(partial(make, priority.name), priority))
            wait_until(lambda count=count: device.scheduler.waiting == count)
        device.model.batch_key = lambda value: value  # type: ignore[method-assign]
        device.model.let.set()
        assert wait(made, 10).not_done == set()
        assert device.model.batches[1:] == [["CHECK"], ["CALL"], ["JOB"]]
        assert workers.close(10)

    def test_a_call_without_a_key_is_made_alone_and_disturbs_no_other(
        self, device: Device, wait_until: Wait
    ) -> None:
        made = device.queue(wait_until, "first", "a", "no key", "b")
        device.model.let.set()
        assert [made[at].result(10) for at in (0, 1, 3)] == ["first", "a", "b"]
        with pytest.raises(TypeError, match="cannot be told"):
            made[2].result(10)

    def test_a_models_error_reaches_who_called_and_frees_the_device(self, device: Device) -> None:
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

    def test_who_leaves_while_waiting_is_never_worked_for(
        self, device: Device, wait_until: Wait
    ) -> None:
        (first,) = device.queue(wait_until, 1)
        deadline = Deadline()
        gone = device.call(2, deadline)
        wait_until(lambda: device.scheduler.waiting == 1)
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            gone.result(10)
        device.model.let.set()
        assert first.result(10) == 1
        assert device.call(3).result(10) == 3
        assert device.model.batches == [[1], [3]]

    def test_a_deadline_travels_with_the_call(self, device: Device, wait_until: Wait) -> None:
        (first,) = device.queue(wait_until, 1)
        late = device.call(2, Deadline(0.2))
        with pytest.raises(DeadlineExceededError):
            late.result(10)
        device.model.let.set()
        first.result(10)

    def test_a_call_carries_the_deadline_it_is_made_in(self) -> None:
        with deadline_scope(Deadline()) as deadline:
            assert Call(MATTING).deadline is deadline

    def test_many_callers_who_come_and_leave_lose_no_place(self, device: Device) -> None:
        def come(n: int) -> "Future[Any]":
            deadline = Deadline()
            if n % 3 == 0:
                threading.Timer(0.001 * (n % 7), deadline.cancel).start()
            return device.call(n, deadline)

        made = [come(n) for n in range(300)]
        for n, one in enumerate(made):
            try:
                assert one.result(10) == n
            except CallerDisconnectedError:
                assert n % 3 == 0
        assert device.scheduler.waiting == 0

    def test_a_closed_device_takes_no_call(self, device: Device) -> None:
        assert device.scheduler.close(10)
        with pytest.raises(SchedulerClosedError):
            device.scheduler.call(MATTING, 1)
