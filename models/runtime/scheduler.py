"""The scheduler of one device: its worker threads, their fair queue, and the batches of calls."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from models.errors import SchedulerClosedError
from models.log_context import log_scope
from models.processing import infer_one
from models.roles import Role
from models.runtime.batch import has_key, run_batch
from models.runtime.budget import Budget
from models.runtime.calls import Call, Inference
from models.runtime.fair_queue import FairQueue, TenantLoad
from models.runtime.oom_retry import RetryOnOutOfMemory
from models.runtime.queued_task import Priority
from models.runtime.task import (
    CLOSED,
    PRIORITY,
    TENANT,
    Task,
    Wait,
    cancel,
    errors_to_future,
    task_context,
)
from models.stages import batched, exclude_wait

log = logging.getLogger("retouch.scheduler")

R = TypeVar("R")

_POLL_S = 0.1
"""Seconds between two checks of the deadline while a caller waits for a model."""

GetRetry = Callable[[Role[Any]], RetryOnOutOfMemory | None]
UseModel = Callable[[Role[Any]], AbstractContextManager[Any]]


_Step = tuple[Task, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]
"""A task, and a function with its arguments: the result of the function is the result of the task."""


class Scheduler:
    """Runs tasks on a fixed number of worker threads: tenants in turn, each one's by priority, then by age.

    Tenants take turns by the time that their tasks take (`models.runtime.fair_queue`), and no priority
    starves. A task is a function, a call of a model, or a run of a model's network (`models.processing`).
    Waiting runs are made in one batch, also those of several tenants, if the model's card allows it
    (`max_batch`) and the batch keys of their inputs are equal. No thread waits for a batch to fill: batches
    grow only with the load.

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
        self._queue: FairQueue[Task] = FairQueue(threads, extra, budget=budget)
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

    def waiting_by_kind(self) -> Counter[str]:
        """Return how many tasks wait, by `Task.kind`."""
        with self._changed:
            return Counter(task.kind for task in self._queue.waiting())

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
        return self._add(Task(work, priority, tenant, cost, memory))

    def _add(self, task: Task) -> Future[Any]:
        with self._changed:
            if task.priority not in self._accepted:
                raise SchedulerClosedError(CLOSED)
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
        return self._result(Call(role, args, kwargs))

    def infer(self, role: Role[Any], value: Any, /) -> Any:
        """Run the network of a model that has `infer` on one input, and wait for its output, as `call` does.

        If memory runs out and the role's calls are retried, it raises MemoryError: the caller then uses
        `call_with_less`.
        """
        return self._result(Inference(role, (value,)))

    def call_with_less(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make a call whose first attempt ran out of memory elsewhere, with smaller input; see `retries`."""
        return self._result(Call(role, args, kwargs), out_of_memory=True)

    def retries(self, role: Role[Any]) -> bool:
        """Whether a role's calls are retried with smaller input when memory runs out."""
        return self._retry(role) is not None

    def _result(self, call: Call, out_of_memory: bool = False) -> Any:
        """Queue a call of a model, and return its result."""
        call.deadline.check()
        task = Task(call, PRIORITY.get(), TENANT.get(), 0.0, 0)
        task.out_of_memory = out_of_memory
        waiting, future = task.wait, self._add(task)
        del task  # an error's traceback would hold it, and with it pictures
        try:
            while not wait([future], _POLL_S).done:
                try:
                    call.deadline.check()
                except BaseException:
                    # A call that is running already stops by itself at its next step.
                    future.cancel()
                    raise
            return future.result()
        finally:
            exclude_wait(waiting.seconds)
            del future  # its error's traceback has this frame

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
            cancel(task)

    def _next(self, priorities: Sequence[Priority]) -> Task | None:
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
                with log_scope(task.log_context), errors_to_future(task):
                    for one, function, args, kwargs in self._steps(task):
                        with errors_to_future(one), task_context(one):
                            one.future.set_result(function(*args, **kwargs))
                        # Do not keep pictures or a model in memory while waiting for the next task.
                        del one, function, args, kwargs
            with self._changed:
                self._queue.finish(task)
                self._changed.notify_all()  # another tenant may have a larger share now
            if task.needs_worker:
                self._requeue_check(task)
            del task

    def _requeue_check(self, task: Task) -> None:
        """Queue a check that needs a model again, for a worker.

        It fails if none are accepted any more.
        """
        task.needs_worker, task.priority, task.wait = False, Priority.CHECK_WITH_MODEL, Wait()
        with self._changed:
            if accepted := task.priority in self._accepted:
                self._queue.add(task)
                self._changed.notify_all()
        if not accepted:
            task.future.set_exception(SchedulerClosedError(CLOSED))

    def _steps(self, task: Task) -> Iterator[_Step]:
        """Yield the functions that a thread must call for a task, and for the calls in the same batch."""
        if not isinstance(task.work, Call):
            yield task, task.work, (), {}
            return
        role = task.work.role
        assert self._use is not None  # noqa: S101 - only schedulers with models get calls
        with self._use(role) as model:
            tasks = [task, *self._take_batch(model, task, task.work)]
            batched(role.name, len(tasks))
            if len(tasks) == 1 or not run_batch(model, tasks):
                for one in tasks:
                    # An error between two attempts fails this call and none of the others.
                    with errors_to_future(one):
                        yield from self._attempts(model, role, one)
            # Do not hold the model after its use: the pool may evict it then.
            del model

    def _attempts(self, model: Any, role: Role[Any], task: Task) -> Iterator[_Step]:
        """Yield the call of a model and, if it runs out of memory, the call with smaller input.

        A run of its network alone has no smaller input: whoever makes the call retries it whole.
        """
        call, retry = task.work, self._retry(role)
        assert isinstance(call, Call)  # noqa: S101 - for the type checker
        is_inference = isinstance(call, Inference)
        work = partial(infer_one, model) if is_inference else getattr(model, role.method)
        if not task.out_of_memory:
            task.may_retry = retry is not None
            yield task, work, call.args, call.kwargs
        del work
        if is_inference and task.out_of_memory:
            task.future.set_exception(MemoryError(f"memory ran out in a run of {role}"))
            return
        # If memory runs out between the attempts, for example in `make_room`, the call fails.
        task.may_retry = False
        # Here, not where the error was caught: its traceback kept the first attempt's tensors alive.
        if retry is not None and task.out_of_memory:
            task.out_of_memory = False
            with log_scope(task.log_context):
                smaller = retry.smaller(model)
            task.may_retry = True
            yield task, smaller, call.args, call.kwargs
            task.may_retry = False
            if task.out_of_memory:
                task.future.set_exception(retry.failure())

    def _take_batch(self, model: Any, first: Task, call: Call) -> list[Task]:
        """Take the tasks from the queue that may share a batch with `first`, whose call is `call`."""
        room = self._max_batch.get(call.role, 1) - 1
        if room < 1 or not isinstance(call, Inference):
            return []
        key = model.batch_key(*call.args)
        with self._changed:
            waiting = sorted(self._queue.waiting(), key=lambda task: (task.priority, task.number))
        matching = [task for task in waiting if has_key(model, task.work, call.role, key)]
        with self._changed:
            batch = [task for task in matching if self._queue.waits(task)][:room]
            self._queue.join(first, batch)
        return [task for task in batch if task.begin()]
