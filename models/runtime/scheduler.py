"""The scheduler of one device: its threads, the queue before them, and the calls that are made together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar

from models.deadline import SharedDeadline, deadline_scope
from models.errors import SchedulerClosedError
from models.roles import Models, P, Role
from models.runtime.calls import Call
from models.runtime.oom_retry import RetryOnOutOfMemory, is_out_of_memory

log = logging.getLogger("retouch.scheduler")

R = TypeVar("R")

_IN_A_ROW = 4
"""Pieces of work of one priority that are done in a row while others wait; then it is their turn once."""
_LOOK_S = 0.1
"""How often a waiting caller of a model looks whether anybody still waits for its work."""


GetRetry = Callable[[Role[Any]], RetryOnOutOfMemory | None]
UseModel = Callable[[Role[Any]], AbstractContextManager[Any]]


class Priority(IntEnum):
    """Which work goes first."""

    CHECK_WITH_MODEL = 0
    """A check that turned out to need a model, and waits for a worker."""
    CHECK = 1
    """Short work that a caller waits for before a link is promised."""
    CALL = 2
    """Work that a caller waits for."""
    JOB = 3
    """Work that nobody waits for."""


_PRIORITY: ContextVar[Priority] = ContextVar("priority", default=Priority.CALL)
"""Of the work that the context belongs to."""


class NeedsWorkerError(BaseException):
    """A check needs a model, which its thread may not use; nothing but the scheduler catches it."""


class _Task:
    """A piece of work on its way: a function, or the call of a model.

    may_retry: running out of memory is not its outcome yet; out_of_memory: it has done so.
    needs_worker: it is a check that has begun on a thread for checks, and needs a model.
    """

    def __init__(self, work: Callable[[], Any] | Call, priority: Priority) -> None:
        self.work = work
        self.priority = priority
        self.future: Future[Any] = Future()
        self.may_retry = self.out_of_memory = self.needs_worker = False

    def begin(self) -> bool:
        """Whether it is to be done: it was not cancelled before it began."""
        return self.future.running() or self.future.set_running_or_notify_cancel()


_Step = tuple[_Task, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]
"""A function with its arguments, whose result is the outcome of a task."""


class Scheduler:
    """Does work on a fixed number of threads: by priority, the oldest first, and no priority starves.

    Work is a function, or the call of a model. Calls that wait and are alike are made together, where the
    model's card says that it gains by that (`max_batch`) and the model has, beside its role's method,

        batch_key(*args, **kwargs) -> object  calls of equal keys may go together
        predict_batch(calls) -> results       for the (args, kwargs) of each, in order

    and gives each call what it would have given it alone, but for rounding. No thread waits for company:
    batches grow with the load alone.

    A call that runs out of memory is made once more, smaller, where its role has a way to (`retry`).

    name: of the device, for its threads. threads: pieces of work done at once; one thread keeps a device to
    one model at a time. use: the context of a role's model, where calls of models are made. max_batch: of
    each role, 1 where it is left out. retry: how a role's calls are made again when memory runs out.
    checks: threads beyond those, for checks alone, so that a link can be promised however long the work
    ahead is. A check that needs a model raises NeedsWorkerError there (`ScheduledModels`), and is made
    anew by the next worker that is free.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        use: UseModel | None = None,
        max_batch: Mapping[Role[Any], int] | None = None,
        retry: GetRetry = lambda role: None,
        checks: int = 0,
    ) -> None:
        self._use = use
        self._retry = retry
        self._max_batch = dict(max_batch or {})
        self._queues: dict[Priority, deque[_Task]] = {priority: deque() for priority in Priority}
        self._in_a_row = dict.fromkeys(Priority, 0)
        self._accepted = set(Priority)
        self._changed = threading.Condition()
        # Daemons: a process whose time is over does not wait for what they are at.
        self._workers = [
            threading.Thread(
                target=self._run, args=[Priority], name=f"{name}-{number}", daemon=True
            )
            for number in range(threads)
        ]
        self._checkers = [
            threading.Thread(
                target=self._run,
                args=[[Priority.CHECK]],
                name=f"{name}-check-{number}",
                daemon=True,
            )
            for number in range(checks)
        ]
        self._threads = self._workers + self._checkers
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many pieces of work have not begun."""
        with self._changed:
            return sum(map(len, self._queues.values()))

    def is_check_thread(self) -> bool:
        """Whether the calling thread is one of those for checks alone."""
        return threading.current_thread() in self._checkers

    def submit(
        self, work: Callable[[], R] | Call, priority: Priority = Priority.CALL
    ) -> "Future[R]":
        """Queue a piece of work; its future raises what the work raises. Raises SchedulerClosedError."""
        task = _Task(work, priority)
        with self._changed:
            if priority not in self._accepted:
                raise SchedulerClosedError("the server is ending")
            self._queues[priority].append(task)
            # All are woken, as the one may be a thread for checks alone.
            self._changed.notify_all()
        # By its future, not by the task: the task holds the future, and with it this function.
        task.future.add_done_callback(partial(self._leave, priority))
        return task.future

    def _leave(self, priority: Priority, future: Future[Any]) -> None:
        """Take a cancelled task out of the queue: it holds pictures, and callers leave in any number."""
        if not future.cancelled():
            return
        with self._changed:
            queue = self._queues[priority]
            left = [task for task in queue if task.future is future]
            for task in left:
                queue.remove(task)
        if left:  # otherwise a thread, or the shutdown, has it
            future.set_running_or_notify_cancel()

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make a call of a model and wait for its result, for as long as the context's deadline allows.

        It has the priority of the work that makes it, on whichever scheduler that runs.
        Raises WorkCancelledError, ModelUnavailableError, SchedulerClosedError or the model's own error.
        """
        call = Call(role, args, kwargs)
        call.deadline.check()
        future: Future[Any] = self.submit(call, _PRIORITY.get())
        while not wait([future], _LOOK_S).done:
            try:
                call.deadline.check()
            except BaseException:
                # A call that has begun ends by itself at its next step.
                future.cancel()
                raise
        return future.result()

    def stop_accepting_jobs(self) -> None:
        """Cancel the jobs that have not begun, and accept none any more."""
        self._stop_accepting({Priority.JOB})

    def stop_accepting(self) -> None:
        """Cancel all that has not begun, and accept nothing any more; the threads end."""
        self._stop_accepting(set(Priority))

    def close(self, timeout_s: float) -> bool:
        """Stop accepting, and wait for what is at work; False where it takes longer than `timeout_s`."""
        self.stop_accepting()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _stop_accepting(self, priorities: set[Priority]) -> None:
        dropped: list[_Task] = []
        with self._changed:
            self._accepted -= priorities
            for priority in priorities:
                dropped += self._queues[priority]
                self._queues[priority].clear()
            self._changed.notify_all()
        for task in dropped:
            _cancel(task)

    def _next(self, priorities: Iterable[Priority]) -> _Task | None:
        """Wait for the next task of some priorities; None when there will be none any more."""
        queues = [self._queues[priority] for priority in priorities]
        with self._changed:
            self._changed.wait_for(lambda: any(queues) or not self._accepted)
            waiting = [priority for priority in priorities if self._queues[priority]]
            for priority in waiting:
                if priority is waiting[-1] or self._in_a_row[priority] < _IN_A_ROW:
                    self._in_a_row[priority] += 1
                    return self._queues[priority].popleft()
                self._in_a_row[priority] = 0
            return None

    def _run(self, priorities: Iterable[Priority]) -> None:
        while (task := self._next(priorities)) is not None:
            if task.begin():
                with _settling(task):
                    for one, function, args, kwargs in self._steps(task):
                        with _settling(one), _in_time(one):
                            one.future.set_result(function(*args, **kwargs))
                        # Not held while waiting for the next: they may hold a picture, or a model.
                        del one, function, args, kwargs
                if task.needs_worker:
                    self._make_anew(task)
            del task

    def _make_anew(self, task: _Task) -> None:
        """Have a check that needs a model made by a worker; it fails where there will be none."""
        task.needs_worker, task.priority = False, Priority.CHECK_WITH_MODEL
        with self._changed:
            if accepted := task.priority in self._accepted:
                self._queues[task.priority].append(task)
                self._changed.notify_all()
        if not accepted:
            task.future.set_exception(SchedulerClosedError("the server is ending"))

    def _steps(self, task: _Task) -> Iterator[_Step]:
        """Yield what a thread is to call for a task, and for those that are made together with it."""
        if not isinstance(task.work, Call):
            yield task, task.work, (), {}
            return
        role = task.work.role
        assert self._use is not None  # noqa: S101 - only schedulers with models are sent calls
        with self._use(role) as model:
            tasks = [task, *self._take_alike(model, task.work)]
            if len(tasks) == 1 or not _made_together(model, tasks):
                for one in tasks:
                    # What fails between its tries fails this call, and none of the others.
                    with _settling(one):
                        yield from self._tries(model, role, one)
            # Not held beyond its use: the pool may drop it as soon as it is given back.
            del model

    def _tries(self, model: Any, role: Role[Any], task: _Task) -> Iterator[_Step]:
        """Yield the call of a model, and where it runs out of memory the smaller call."""
        call, retry = task.work, self._retry(role)
        assert isinstance(call, Call)  # noqa: S101 - for the type checker
        task.may_retry = retry is not None
        yield task, getattr(model, role.method), call.args, call.kwargs
        # Memory that runs out beside the tries, as while room is made, is the call's outcome.
        task.may_retry = False
        # Here, not where the error was caught: its traceback kept the first try's tensors alive.
        if retry is not None and task.out_of_memory:
            task.out_of_memory = False
            smaller = retry.smaller(model)
            task.may_retry = True
            yield task, smaller, call.args, call.kwargs
            task.may_retry = False
            if task.out_of_memory:
                task.future.set_exception(retry.failure())

    def _take_alike(self, model: Any, call: Call) -> list[_Task]:
        """Take from the queue the calls that may be made together with `call`."""
        most = self._max_batch.get(call.role, 1) - 1
        if most < 1:
            return []
        key = model.batch_key(*call.args, **call.kwargs)
        with self._changed:
            waiting = [task for queue in self._queues.values() for task in queue]
        alike = [task for task in waiting if _has_key(model, task.work, call.role, key)]
        with self._changed:
            taken = [task for task in alike if task in self._queues[task.priority]][:most]
            for task in taken:
                self._queues[task.priority].remove(task)
        return [task for task in taken if task.begin()]


class ScheduledModels:
    """Fulfils models.roles.Models: models are used on a scheduler's workers, never on its threads for checks.

    So no more models are at work than there are workers, and no check holds up another while it waits
    for a model.
    """

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role."""
        return self._models.offers(role)

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return the context of a role's model; raises NeedsWorkerError on a thread for checks."""
        if self._scheduler.is_check_thread():
            raise NeedsWorkerError
        return self._models.use(role)


def _has_key(model: Any, work: Callable[[], Any] | Call, role: Role[Any], key: object) -> bool:
    """Whether work is a call of this role's model with this batch key."""
    if not isinstance(work, Call) or work.role != role:
        return False
    try:
        return bool(model.batch_key(*work.args, **work.kwargs) == key)
    except Exception as error:
        # What is wrong with its arguments its own caller is told when it is made alone.
        log.info("a call of %s has no batch key: %s", role, error)
        return False


def _made_together(model: Any, tasks: list[_Task]) -> bool:
    """Make calls of equal keys at once; False where that fails, so that each is made alone.

    An error of several at once is nobody's: what one caller sent never fails another's call.
    """
    calls = [task.work for task in tasks if isinstance(task.work, Call)]
    try:
        with deadline_scope(SharedDeadline([call.deadline for call in calls])):
            results = model.predict_batch([(call.args, call.kwargs) for call in calls])
        if len(results) != len(calls):
            raise ValueError(f"{len(results)} results of {len(calls)} calls")
    except BaseException as error:
        level = logging.WARNING if is_out_of_memory(error) else logging.ERROR
        log.log(level, "%d calls at once failed (%s); one by one now", len(calls), error)
        return False
    for task, result in zip(tasks, results, strict=True):
        task.future.set_result(result)
    return True


@contextmanager
def _in_time(task: _Task) -> Iterator[None]:
    """Let a task's priority, and a call's deadline, hold for what is done within."""
    work, token = task.work, _PRIORITY.set(task.priority)
    del task  # as below
    try:
        if isinstance(work, Call):
            with deadline_scope(work.deadline) as deadline:
                deadline.check()
                yield
        else:
            yield
    finally:
        _PRIORITY.reset(token)


@contextmanager
def _settling(task: _Task) -> Iterator[None]:
    """Set what is raised within as the task's outcome, for whoever waits for its future."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, NeedsWorkerError):
            task.needs_worker = True
        elif task.may_retry and is_out_of_memory(error):
            task.out_of_memory = True
        elif task.future.done():  # the work is done, and what came after it failed
            log.exception("a piece of work is done, but its device could not be left in order")
        else:
            task.future.set_exception(error)
    finally:
        # The error's traceback holds this frame: with the task in it that were a cycle of pictures.
        del task


def _cancel(task: _Task) -> None:
    """Cancel a task that no thread will ever look at, and let whoever waits for it know."""
    if task.future.cancel():
        task.future.set_running_or_notify_cancel()
    elif not task.future.done():  # a check that had begun, and waited for a worker
        task.future.set_exception(SchedulerClosedError("the server is ending"))
