"""A task of the scheduler, the context in which it runs, and what becomes of its errors."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from models.deadline import deadline_scope
from models.errors import SchedulerClosedError
from models.log_context import log_context, log_scope
from models.runtime.calls import Call
from models.runtime.oom_retry import is_out_of_memory
from models.runtime.queued_task import Priority, QueuedTask
from models.stages import waited

log = logging.getLogger("retouch.scheduler")

CLOSED = "the server is shutting down"
PRIORITY: ContextVar[Priority] = ContextVar("priority", default=Priority.CALL)
"""The priority of the task that runs in this context."""
TENANT: ContextVar[str] = ContextVar("tenant", default="")
"""The tenant of the task that runs in this context."""


KINDS = ("check", "call", "job")
"""What a task is that calls no model itself."""
_KIND_OF = {
    Priority.CHECK_WITH_MODEL: "check",
    Priority.CHECK: "check",
    Priority.CALL: "call",
    Priority.JOB: "job",
}


class Wait:
    """How long a task waits, in seconds. It begins when it is made, and holds nothing of the task."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds = 0.0

    def end(self) -> float:
        """Return how long it took."""
        self.seconds = time.monotonic() - self._began
        return self.seconds


class NeedsWorkerError(BaseException):
    """A check needs a model, but its thread must not use one. Only the scheduler catches this."""


class Task(QueuedTask):
    """A task in the scheduler: a function, or a call of a model, and the future for its result.

    may_retry: while it is set, the scheduler handles an error that says that memory ran out: it sets
    out_of_memory instead of the future. needs_worker: the task is a check that started on a check
    thread and needs a model. wait: how long it waited. log_context: that of whoever made it.
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
        self.wait = Wait()
        self.log_context = log_context()

    def begin(self) -> bool:
        """Mark the task as running. False if it was cancelled before it started."""
        if not (self.future.running() or self.future.set_running_or_notify_cancel()):
            return False
        with log_scope(self.log_context):
            waited(self.wait.end(), self.kind)
        return True

    @property
    def kind(self) -> str:
        """The name of the model's role that it calls; for a function one of `KINDS`."""
        return self.work.role.name if isinstance(self.work, Call) else _KIND_OF[self.priority]


@contextmanager
def task_context(task: Task) -> Iterator[None]:
    """Set the task's priority, its tenant, its log and, for a call, its deadline in the current context."""
    work, token, tenant = task.work, PRIORITY.set(task.priority), TENANT.set(task.tenant)
    logged = log_scope(task.log_context)
    del task  # for the same reason as in `errors_to_future`
    try:
        with logged:
            if isinstance(work, Call):
                with deadline_scope(work.deadline) as deadline:
                    deadline.check()
                    yield
            else:
                yield
    finally:
        PRIORITY.reset(token)
        TENANT.reset(tenant)


@contextmanager
def errors_to_future(task: Task) -> Iterator[None]:
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


def cancel(task: Task) -> None:
    """Cancel a task that was removed from the queue, and wake the thread that waits for its future."""
    if task.future.cancel():
        task.future.set_running_or_notify_cancel()
    elif not task.future.done():  # a check that had started and waited for a worker
        task.future.set_exception(SchedulerClosedError(CLOSED))
