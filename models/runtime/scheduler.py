"""The scheduler of one device: its threads, the queue before them, and the calls that are made together."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from typing import Any, TypeVar, cast

from imaging.resize import SizeRule
from models.deadline import SharedDeadline, deadline_scope
from models.errors import SchedulerClosedError
from models.roles import Models, P, Role
from models.runtime.calls import Call, ModelProxy
from models.runtime.oom_retry import RetryOnOutOfMemory, is_out_of_memory

log = logging.getLogger("retouch.scheduler")

R = TypeVar("R")

_IN_A_ROW = 4
"""Pieces of work of one priority that are done in a row while others wait; then it is their turn once."""
_LOOK_S = 0.1
"""How often a waiting caller of a model looks whether anybody still waits for its work."""


class Priority(IntEnum):
    """Which work goes first."""

    MODEL = 0
    """The call of a model, for which other work waits."""
    CHECK = 1
    """Short work that a caller waits for before a link is promised."""
    CALL = 2
    """Work that a caller waits for."""
    JOB = 3
    """Work that nobody waits for."""


GetRetry = Callable[[Role[Any]], RetryOnOutOfMemory | None]
UseModel = Callable[[Role[Any]], AbstractContextManager[Any]]


class _Task:
    """A piece of work on its way: a function, or the call of a model.

    may_retry: running out of memory is not its outcome yet; out_of_memory: it has done so.
    """

    def __init__(self, work: Callable[[], Any] | Call) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.may_retry = self.out_of_memory = False


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
    ahead is; they call no model themselves (`ScheduledModels`).
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
        self._threads = self._workers + [
            threading.Thread(
                target=self._run,
                args=[[Priority.CHECK]],
                name=f"{name}-check-{number}",
                daemon=True,
            )
            for number in range(checks)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many pieces of work have not begun."""
        with self._changed:
            return sum(map(len, self._queues.values()))

    def is_worker_thread(self) -> bool:
        """Whether the calling thread is one of those that do every kind of work."""
        return threading.current_thread() in self._workers

    def submit(
        self, work: Callable[[], R] | Call, priority: Priority = Priority.CALL
    ) -> "Future[R]":
        """Queue a piece of work; its future raises what the work raises. Raises SchedulerClosedError."""
        task = _Task(work)
        with self._changed:
            if priority not in self._accepted:
                raise SchedulerClosedError("the server is ending")
            self._queues[priority].append(task)
            # All are woken, as the one may be a thread for checks alone.
            self._changed.notify_all()
        return task.future

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make a call of a model and wait for its result, for as long as the context's deadline allows.

        Raises WorkCancelledError, ModelUnavailableError, SchedulerClosedError or the model's own error.
        """
        call = Call(role, args, kwargs)
        call.deadline.check()
        future: Future[Any] = self.submit(call, Priority.MODEL)
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
            if task.future.set_running_or_notify_cancel():
                with _settling(task):
                    for one, function, args, kwargs in self._steps(task):
                        with _settling(one), _in_time(one):
                            one.future.set_result(function(*args, **kwargs))
                        # Not held while waiting for the next: they may hold a picture, or a model.
                        del one, function, args, kwargs
            del task

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
                    yield from self._tries(model, role, one)
            # Not held beyond its use: the pool may drop it as soon as it is given back.
            del model

    def _tries(self, model: Any, role: Role[Any], task: _Task) -> Iterator[_Step]:
        """Yield the call of a model, and where it runs out of memory the smaller call."""
        call, retry = task.work, self._retry(role)
        assert isinstance(call, Call)  # noqa: S101 - for the type checker
        task.may_retry = retry is not None
        yield task, getattr(model, role.method), call.args, call.kwargs
        # Here, not where the error was caught: its traceback kept the first try's tensors alive.
        if retry is not None and task.out_of_memory:
            task.out_of_memory = False
            yield task, retry.smaller(model), call.args, call.kwargs
            if task.out_of_memory:
                task.future.set_exception(retry.failure())

    def _take_alike(self, model: Any, call: Call) -> list[_Task]:
        """Take from the queue the calls that may be made together with `call`."""
        most = self._max_batch.get(call.role, 1) - 1
        if most < 1:
            return []
        key = model.batch_key(*call.args, **call.kwargs)
        with self._changed:
            waiting = list(self._queues[Priority.MODEL])
        alike = [task for task in waiting if _has_key(model, task.work, call.role, key)]
        with self._changed:
            calls = self._queues[Priority.MODEL]
            taken = [task for task in alike if task in calls][:most]
            for task in taken:
                calls.remove(task)
        return [task for task in taken if task.future.set_running_or_notify_cancel()]


class ScheduledModels:
    """Fulfils models.roles.Models: the models of this process run on a scheduler's worker threads alone.

    On a worker thread a model is called where it is. Elsewhere, as on the threads for checks, its calls wait
    for a worker, so that no more models are at work than there are workers. Models that run elsewhere (on a
    device of their own, on a cluster) are called from everywhere.
    """

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role."""
        return self._models.offers(role)

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield the model of a role, or a proxy whose calls wait for a worker."""
        with self._models.use(role) as model:
            if isinstance(model, ModelProxy) or self._scheduler.is_worker_thread():
                yield model
            else:
                yield cast(P, ModelProxy(role, self._scheduler.call, self._sizes_of))
            del model

    def _sizes_of(self, role: Role[Any]) -> SizeRule:
        with self._models.use(role) as model:
            sizes: SizeRule = model.sizes
            return sizes


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
    except Exception as error:
        level = logging.WARNING if is_out_of_memory(error) else logging.ERROR
        log.log(level, "%d calls at once failed (%s); one by one now", len(calls), error)
        return False
    for task, result in zip(tasks, results, strict=True):
        task.future.set_result(result)
    return True


@contextmanager
def _in_time(task: _Task) -> Iterator[None]:
    """Let a call's deadline hold for what is done within."""
    if not isinstance(task.work, Call):
        yield
        return
    with deadline_scope(task.work.deadline) as deadline:
        deadline.check()
        yield


@contextmanager
def _settling(task: _Task) -> Iterator[None]:
    """Set what is raised within as the task's outcome, for whoever waits for its future."""
    try:
        yield
    except BaseException as error:
        if task.may_retry and is_out_of_memory(error):
            task.out_of_memory = True
        elif task.future.done():  # the work is done, and what came after it failed
            log.exception("a piece of work is done, but its device could not be left in order")
        else:
            task.future.set_exception(error)


def _cancel(task: _Task) -> None:
    """Cancel a task that no thread will ever look at, and let whoever waits for it know."""
    if task.future.cancel():
        task.future.set_running_or_notify_cancel()
