"""The scheduler of one device: its worker threads, their fair queue, and the batches of calls."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from models.deadline import SharedDeadline, deadline_scope
from models.errors import SchedulerClosedError
from models.roles import Models, P, Role
from models.runtime.budget import Budget
from models.runtime.calls import Call
from models.runtime.fair_queue import FairQueue, TenantLoad
from models.runtime.oom_retry import RetryOnOutOfMemory, is_out_of_memory
from models.runtime.queued_task import Priority, QueuedTask

log = logging.getLogger("retouch.scheduler")

R = TypeVar("R")

_POLL_S = 0.1
"""Seconds between two checks of the deadline while a caller waits for a model."""
_CLOSED = "the server is shutting down"

GetRetry = Callable[[Role[Any]], RetryOnOutOfMemory | None]
UseModel = Callable[[Role[Any]], AbstractContextManager[Any]]


_PRIORITY: ContextVar[Priority] = ContextVar("priority", default=Priority.CALL)
"""The priority of the task that runs in this context."""
_TENANT: ContextVar[str] = ContextVar("tenant", default="")
"""The tenant of the task that runs in this context."""


class NeedsWorkerError(BaseException):
    """A check needs a model, but its thread must not use one. Only the scheduler catches this."""


class _Task(QueuedTask):
    """A task in the scheduler: a function, or a call of a model, and the future for its result.

    may_retry: while it is set, the scheduler handles an error that says that memory ran out: it sets
    out_of_memory instead of the future. needs_worker: the task is a check that started on a check
    thread and needs a model.
    """

    def __init__(
        self,
        work: Callable[[], Any] | Call,
        priority: Priority,
        tenant: str,
        cost: float,
        memory: int,
    ) -> None:
        super().__init__(tenant, priority, cost, memory)
        self.work = work
        self.future: Future[Any] = Future()
        self.may_retry = self.out_of_memory = self.needs_worker = False

    def begin(self) -> bool:
        """Mark the task as running. False if it was cancelled before it started."""
        return self.future.running() or self.future.set_running_or_notify_cancel()


_Step = tuple[_Task, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]
"""A task, and a function with its arguments: the result of the function is the result of the task."""


class Scheduler:
    """Runs tasks on a fixed number of worker threads: tenants in turn, each one's by priority, then by age.

    Tenants take turns by the time that their tasks take (`models.runtime.fair_queue`), and no priority
    starves. A task is a function or a call of a model. Waiting calls are made in one batch, also those
    of several tenants, if the model's card allows it (`max_batch`), their batch keys are equal, and the
    model has these methods in addition to its role's:

        batch_key(*args, **kwargs) -> object  calls with equal keys may share a batch
        predict_batch(calls) -> results       one result for the (args, kwargs) of each call, in order

    Each result must equal that of a single call, apart from rounding. No thread waits for a batch
    to fill: batches grow only with the load.

    A call that runs out of memory is retried once with smaller input, if its role supports that
    (`retry`).

    name: of the device, for thread names. threads: number of workers. With one worker, only one
    model at a time uses the device. use: opens the context of a role's model; needed for calls of
    models. max_batch: the largest batch of each role, 1 by default. retry: returns the retry for a
    role's calls. checks: number of extra threads that only run checks, so that a caller soon gets a
    link even if the queue is long. A check that needs a model raises NeedsWorkerError there
    (`ScheduledModels`); the next free worker starts it again. extra: number of further workers. Only a
    tenant below its share of the workers uses them, while others occupy those: so it need not wait
    until a long task of another tenant ends. budget: of the memory that tasks take together; call `wake`
    when it has room again.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        use: UseModel | None = None,
        max_batch: Mapping[Role[Any], int] | None = None,
        retry: GetRetry = lambda role: None,
        checks: int = 0,
        extra: int = 0,
        budget: Budget | None = None,
    ) -> None:
        self._use = use
        self._thread_count = threads
        self._retry = retry
        self._max_batch = dict(max_batch or {})
        self._queue: FairQueue[_Task] = FairQueue(threads, extra, budget=budget)
        self._accepted = set(Priority)
        self._changed = threading.Condition()
        # Daemon threads: at the end of the grace period, the process exits without waiting for them.
        self._workers = [
            threading.Thread(
                target=self._run, args=[tuple(Priority)], name=f"{name}-{number}", daemon=True
            )
            for number in range(threads + extra)
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
    def threads(self) -> int:
        """Number of tasks that run at once, without the further workers."""
        return self._thread_count

    def loads(self) -> dict[str, TenantLoad]:
        """Return how many tasks of each tenant run and wait."""
        with self._changed:
            return self._queue.loads()

    @property
    def waiting(self) -> int:
        """Number of tasks in the queue that have not started."""
        with self._changed:
            return len(self._queue)

    def ahead(self, future: Future[Any]) -> int | None:
        """Return how many tasks would start before the one of a future; None if it does not wait.

        See `FairQueue.ahead`.
        """
        with self._changed:
            task = next((one for one in self._queue.waiting() if one.future is future), None)
            return None if task is None else self._queue.ahead(task)

    def is_check_thread(self) -> bool:
        """Whether the current thread only runs checks."""
        return threading.current_thread() in self._checkers

    def submit(
        self,
        work: Callable[[], R] | Call,
        priority: Priority = Priority.CALL,
        tenant: str = "",
        cost: float = 0.0,
        memory: int = 0,
    ) -> "Future[R]":
        """Queue a task and return its future. The future raises what the task raises.

        tenant: on whose behalf it runs; any text. cost: the expected seconds of one thread; the tenant
        is charged with it when the task starts, and with the seconds that it took when it has ended. memory:
        what it takes of the budget while it runs, in bytes.
        Raises SchedulerClosedError if the scheduler accepts no more tasks of this priority.
        """
        task = _Task(work, priority, tenant, cost, memory)
        with self._changed:
            if priority not in self._accepted:
                raise SchedulerClosedError(_CLOSED)
            self._queue.add(task)
            # Wake all threads: a single one could be a check thread, which cannot run this task.
            self._changed.notify_all()
        # Bound to the future, not to the task: the task would be part of a reference cycle.
        task.future.add_done_callback(self._remove_cancelled)
        return task.future

    def _remove_cancelled(self, future: Future[Any]) -> None:
        """Remove a cancelled task from the queue at once: it holds pictures, and many callers may disconnect."""
        if not future.cancelled():
            return
        with self._changed:
            removed = [task for task in self._queue.waiting() if task.future is future]
            for task in removed:
                self._queue.remove(task)
        if removed:  # otherwise a thread or the shutdown has taken the task
            future.set_running_or_notify_cancel()

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a model and wait for its result, at most until the deadline of the context.

        The call has the priority and the tenant of the task that makes it, also if that task runs on another
        scheduler. Raises WorkCancelledError, ModelUnavailableError, SchedulerClosedError or the
        model's own error.
        """
        call = Call(role, args, kwargs)
        call.deadline.check()
        future: Future[Any] = self.submit(call, _PRIORITY.get(), _TENANT.get())
        while not wait([future], _POLL_S).done:
            try:
                call.deadline.check()
            except BaseException:
                # A call that is running already stops by itself at its next step.
                future.cancel()
                raise
        return future.result()

    def wake(self) -> None:
        """Look for tasks that may run now, because the budget has room again."""
        with self._changed:
            self._changed.notify_all()

    def stop_accepting_jobs(self) -> None:
        """Cancel the jobs that have not started, and accept no more jobs."""
        self._stop_accepting({Priority.JOB})

    def stop_accepting(self) -> None:
        """Cancel the tasks that have not started, and accept no more. Idle threads stop."""
        self._stop_accepting(set(Priority))

    def close(self, timeout_s: float) -> bool:
        """Stop accepting tasks, and wait for the running ones.

        False if that takes more than `timeout_s`.
        """
        self.stop_accepting()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _stop_accepting(self, priorities: set[Priority]) -> None:
        with self._changed:
            self._accepted -= priorities
            cancelled = self._queue.clear(priorities)
            self._changed.notify_all()
        for task in cancelled:
            _cancel(task)

    def _next(self, priorities: Sequence[Priority]) -> _Task | None:
        """Wait for the next task of some priorities that may run.

        None after `stop_accepting`, if no task is left.
        """
        on_thread = not self.is_check_thread()
        with self._changed:
            while (task := self._queue.take(priorities, on_thread=on_thread)) is None:
                if not self._accepted:
                    return None
                self._changed.wait()
            return task

    def _run(self, priorities: Sequence[Priority]) -> None:
        while (task := self._next(priorities)) is not None:
            if task.begin():
                with _errors_to_future(task):
                    for one, function, args, kwargs in self._steps(task):
                        with _errors_to_future(one), _task_context(one):
                            one.future.set_result(function(*args, **kwargs))
                        # Do not keep pictures or a model in memory while waiting for the next task.
                        del one, function, args, kwargs
            with self._changed:
                self._queue.finish(task)
                self._changed.notify_all()  # another tenant may have a larger share now
            if task.needs_worker:
                self._requeue_check(task)
            del task

    def _requeue_check(self, task: _Task) -> None:
        """Queue a check that needs a model again, for a worker.

        It fails if none are accepted any more.
        """
        task.needs_worker, task.priority = False, Priority.CHECK_WITH_MODEL
        with self._changed:
            if accepted := task.priority in self._accepted:
                self._queue.add(task)
                self._changed.notify_all()
        if not accepted:
            task.future.set_exception(SchedulerClosedError(_CLOSED))

    def _steps(self, task: _Task) -> Iterator[_Step]:
        """Yield the functions that a thread must call for a task, and for the calls in the same batch."""
        if not isinstance(task.work, Call):
            yield task, task.work, (), {}
            return
        role = task.work.role
        assert self._use is not None  # noqa: S101 - only schedulers with models get calls
        with self._use(role) as model:
            tasks = [task, *self._take_batch(model, task, task.work)]
            if len(tasks) == 1 or not _run_batch(model, tasks):
                for one in tasks:
                    # An error between two attempts fails this call and none of the others.
                    with _errors_to_future(one):
                        yield from self._attempts(model, role, one)
            # Do not hold the model after its use: the pool may evict it then.
            del model

    def _attempts(self, model: Any, role: Role[Any], task: _Task) -> Iterator[_Step]:
        """Yield the call of a model and, if it runs out of memory, the call with smaller input."""
        call, retry = task.work, self._retry(role)
        assert isinstance(call, Call)  # noqa: S101 - for the type checker
        task.may_retry = retry is not None
        yield task, getattr(model, role.method), call.args, call.kwargs
        # If memory runs out between the attempts, for example in `make_room`, the call fails.
        task.may_retry = False
        # Here, not where the error was caught: its traceback kept the first attempt's tensors alive.
        if retry is not None and task.out_of_memory:
            task.out_of_memory = False
            smaller = retry.smaller(model)
            task.may_retry = True
            yield task, smaller, call.args, call.kwargs
            task.may_retry = False
            if task.out_of_memory:
                task.future.set_exception(retry.failure())

    def _take_batch(self, model: Any, first: _Task, call: Call) -> list[_Task]:
        """Take the calls from the queue that may share a batch with `first`, whose call is `call`."""
        room = self._max_batch.get(call.role, 1) - 1
        if room < 1:
            return []
        key = model.batch_key(*call.args, **call.kwargs)
        with self._changed:
            waiting = sorted(self._queue.waiting(), key=lambda task: (task.priority, task.number))
        matching = [task for task in waiting if _has_key(model, task.work, call.role, key)]
        with self._changed:
            batch = [task for task in matching if self._queue.waits(task)][:room]
            self._queue.join(first, batch)
        return [task for task in batch if task.begin()]


class ScheduledModels:
    """Implements `models.roles.Models`: models run on a scheduler's workers, never on its check threads.

    So at most as many models run as there are workers, and a check that waits for a model does not
    block other checks.
    """

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    def offers(self, role: Role[Any]) -> bool:
        """Whether there is a model for a role."""
        return self._models.offers(role)

    def use(self, role: Role[P]) -> AbstractContextManager[P]:
        """Return the context of a role's model; raises NeedsWorkerError on a check thread."""
        if self._scheduler.is_check_thread():
            raise NeedsWorkerError
        return self._models.use(role)


def _has_key(model: Any, work: Callable[[], Any] | Call, role: Role[Any], key: object) -> bool:
    """Whether `work` is a call of this role's model with this batch key."""
    if not isinstance(work, Call) or work.role != role:
        return False
    try:
        return bool(model.batch_key(*work.args, **work.kwargs) == key)
    except Exception as error:
        # The arguments are wrong. The call's own caller gets the error when the call is made alone.
        log.info("a call of %s has no batch key: %s", role, error)
        return False


def _run_batch(model: Any, tasks: list[_Task]) -> bool:
    """Make calls with equal keys in one batch.

    False if that fails: then each call must be made alone. The error of a batch is not given to any
    call: the input of one caller must not fail another's call.
    """
    calls = [task.work for task in tasks if isinstance(task.work, Call)]
    try:
        with deadline_scope(SharedDeadline([call.deadline for call in calls])):
            results = model.predict_batch([(call.args, call.kwargs) for call in calls])
        if len(results) != len(calls):
            raise ValueError(f"{len(results)} results for {len(calls)} calls")
    except BaseException as error:
        level = logging.WARNING if is_out_of_memory(error) else logging.ERROR
        log.log(level, "a batch of %d calls failed (%s): retry one by one", len(calls), error)
        return False
    for task, result in zip(tasks, results, strict=True):
        task.future.set_result(result)
    return True


@contextmanager
def _task_context(task: _Task) -> Iterator[None]:
    """Set the task's priority, its tenant and, for a call, its deadline in the current context."""
    work, token, tenant = task.work, _PRIORITY.set(task.priority), _TENANT.set(task.tenant)
    del task  # for the same reason as in `_errors_to_future`
    try:
        if isinstance(work, Call):
            with deadline_scope(work.deadline) as deadline:
                deadline.check()
                yield
        else:
            yield
    finally:
        _PRIORITY.reset(token)
        _TENANT.reset(tenant)


@contextmanager
def _errors_to_future(task: _Task) -> Iterator[None]:
    """Catch every error and set it as the result of the task's future."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, NeedsWorkerError):
            task.needs_worker = True
        elif task.may_retry and is_out_of_memory(error):
            task.out_of_memory = True
        elif task.future.done():  # the task itself succeeded, and the cleanup failed
            log.exception("the cleanup after a finished task failed")
        else:
            task.future.set_exception(error)
    finally:
        # The error's traceback holds this frame. With the task in it, pictures would stay in a cycle.
        del task


def _cancel(task: _Task) -> None:
    """Cancel a task that was removed from the queue, and wake the thread that waits for its future."""
    if task.future.cancel():
        task.future.set_running_or_notify_cancel()
    elif not task.future.done():  # a check that had started and waited for a worker
        task.future.set_exception(SchedulerClosedError(_CLOSED))
