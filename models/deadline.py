"""For how long somebody waits for a piece of work: a deadline and a flag, which long work asks between two steps.

A scope belongs to a context (`contextvars`), so that a backend far below need not be handed it:

>>> with entered(Deadline(seconds=30)):
...     for tile in tiles:
...         checkpoint()
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class WorkCancelledError(Exception):
    """Nobody waits for this work any more."""


class CallerDisconnectedError(WorkCancelledError):
    """Whoever asked for the work has left."""


class DeadlineExceededError(WorkCancelledError):
    """The time that the work was given is over."""


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

    def left(self) -> float | None:
        """Give the seconds that are left, 0 at least; None where there is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def check(self) -> None:
        """Raise CallerDisconnectedError or DeadlineExceededError where nobody waits for the work any more."""
        if self._cancelled.is_set():
            raise CallerDisconnectedError("the caller has left")
        if self.left() == 0:
            raise DeadlineExceededError("the work took longer than its time")


class SharedDeadline(Deadline):
    """The scope of work that is done for several at once: it ends when it has for all of them."""

    def __init__(self, scopes: Sequence[Deadline]) -> None:
        super().__init__()
        self._scopes = tuple(scopes)

    def left(self) -> float | None:
        """Give the seconds that the most patient has left; None where one has no limit."""
        seconds = [scope.left() for scope in self._scopes]
        known = [left for left in seconds if left is not None]
        return max(known) if known and len(known) == len(seconds) else None

    def check(self) -> None:
        """Raise what the last of them raises, where every one has ended."""
        ended: WorkCancelledError | None = None
        for scope in self._scopes:
            try:
                scope.check()
            except WorkCancelledError as error:
                ended = error
            else:
                return
        if ended is not None:
            raise ended


_SCOPE: ContextVar[Deadline | None] = ContextVar("scope", default=None)


@contextmanager
def entered(scope: Deadline) -> Iterator[Deadline]:
    """Let a scope hold for what this context does; threads started within need to enter it anew."""
    token = _SCOPE.set(scope)
    try:
        yield scope
    finally:
        _SCOPE.reset(token)


def current() -> Deadline:
    """Give the scope of this context; one without an end where there is none."""
    return _SCOPE.get() or Deadline()


def checkpoint() -> None:
    """Raise CallerDisconnectedError or DeadlineExceededError where nobody waits for this context's work."""
    scope = _SCOPE.get()
    if scope is not None:
        scope.check()
