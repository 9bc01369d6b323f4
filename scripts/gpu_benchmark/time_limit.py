"""A limit of time for work that does not watch one itself."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 5.0
"""A library may swallow the error: it is raised again after this time."""
_ends: list[float] = []
"""When each of the limits in force ends, by `time.monotonic`; the innermost last."""


class OutOfTimeError(Exception):
    """The time of a row, a part or the whole run is over."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError inside the context after `seconds`, or when an outer limit ends, if that is sooner.

    It interrupts Python, not a call of C: a kernel that never ends is not stopped. Outside the main
    thread, where signals do not arrive, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ends.append(min([time.monotonic() + seconds, *_ends[-1:]]))
    before = signal.signal(signal.SIGALRM, _raise)
    _set_timer()
    try:
        yield
    finally:
        _ends.pop()
        if _ends:
            _set_timer()
        else:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _set_timer() -> None:
    signal.setitimer(signal.ITIMER_REAL, max(0.001, _ends[-1] - time.monotonic()), _AGAIN_S)


def _raise(number: int, frame: FrameType | None) -> None:
    raise OutOfTimeError("its time is over")
