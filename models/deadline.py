"""For how long somebody waits for a piece of work: a deadline and a flag, which long work asks between two steps.

A deadline belongs to a context (`contextvars`), so that a backend far below need not be handed it:

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
    """The time that a piece of work has, and whether it is still wanted; safe to share by threads.

    seconds: from now on; None: no limit.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Say that the work is no longer wanted."""
        self._cancelled.set()

    def remaining(self) -> float | None:
        """Return the seconds that are left, 0 at least; None where there is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Raise CallerDisconnectedError or DeadlineExceededError where nobody waits for the work any more."""
        if self._cancelled.is_set():
            raise CallerDisconnectedError("the caller has left")
        if self.remaining() == 0:
            raise DeadlineExceededError("the work took longer than its time")


class SharedDeadline(Deadline):
    """The deadline of work that is done for several at once: it ends when it has for all of them."""

    def __init__(self, deadlines: Sequence[Deadline]) -> None:
        super().__init__()
        self._deadlines = tuple(deadlines)

    def remaining(self) -> float | None:
        """Return the seconds that the most patient has left; None where one has no limit."""
        seconds = [deadline.remaining() for deadline in self._deadlines]
        known = [left for left in seconds if left is not None]
        return max(known) if known and len(known) == len(seconds) else None

    def check(self) -> None:
        """Raise what the last of them raises, where every one has ended."""
        ended: WorkCancelledError | None = None
        for deadline in self._deadlines:
            try:
                deadline.check()
            except WorkCancelledError as error:
                ended = error
            else:
                return
        if ended is not None:
            raise ended


_DEADLINE: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[Deadline]:
    """Let a deadline hold for what this context does; threads started within need to enter it anew."""
    token = _DEADLINE.set(deadline)
    try:
        yield deadline
    finally:
        _DEADLINE.reset(token)


def current() -> Deadline:
    """Return the deadline of this context; one without an end where there is none."""
    return _DEADLINE.get() or Deadline()


def checkpoint() -> None:
    """Raise CallerDisconnectedError or DeadlineExceededError where nobody waits for this context's work."""
    deadline = _DEADLINE.get()
    if deadline is not None:
        deadline.check()
