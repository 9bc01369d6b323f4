"""Deadlines and cancellation: long work checks between two steps whether somebody still waits for it.

A deadline belongs to a context (`contextvars`), so that it need not be passed down to a backend:

>>> with deadline_scope(Deadline(seconds=30)):
...     for tile in tiles:
...         checkpoint()
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from models.errors import CallerDisconnectedError, DeadlineExceededError, WorkCancelledError


class Deadline:
    """The time limit of a piece of work, and a flag for its cancellation. Threads may share it.

    seconds: time from now; None means no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Cancel the work: its next check raises CallerDisconnectedError."""
        self._cancelled.set()

    def remaining(self) -> float | None:
        """Return the seconds that are left, at least 0; None if there is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Raise CallerDisconnectedError if cancelled, DeadlineExceededError if the time is over."""
        if self._cancelled.is_set():
            raise CallerDisconnectedError("the caller has disconnected")
        if self.remaining() == 0:
            raise DeadlineExceededError("the work took longer than its time limit")


class SharedDeadline(Deadline):
    """The deadline of a batch of calls: it is over when the deadline of every call is over."""

    def __init__(self, deadlines: Sequence[Deadline]) -> None:
        super().__init__()
        self._deadlines = tuple(deadlines)

    def remaining(self) -> float | None:
        """Return the seconds that the longest deadline has left; None if one has no limit."""
        seconds = [deadline.remaining() for deadline in self._deadlines]
        limited = [left for left in seconds if left is not None]
        return max(limited) if limited and len(limited) == len(seconds) else None

    def check(self) -> None:
        """Raise the error of the last deadline if every deadline is over or cancelled."""
        last_error: WorkCancelledError | None = None
        for deadline in self._deadlines:
            try:
                deadline.check()
            except WorkCancelledError as error:
                last_error = error
            else:
                return
        if last_error is not None:
            raise last_error


_DEADLINE: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[Deadline]:
    """Set the deadline of this context.

    A thread that is started inside must enter the scope again.
    """
    token = _DEADLINE.set(deadline)
    try:
        yield deadline
    finally:
        _DEADLINE.reset(token)


def current() -> Deadline:
    """Return the deadline of this context; one without a limit if none is set."""
    return _DEADLINE.get() or Deadline()


def checkpoint() -> None:
    """Check the deadline of this context, if there is one; raises as `Deadline.check`."""
    deadline = _DEADLINE.get()
    if deadline is not None:
        deadline.check()
