"""Stopping a generation half-way: a flag that the thread which asked for it can set from elsewhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Cancelled(Exception):  # noqa: N818 - nobody's fault
    """Whoever asked for the picture no longer wants it."""


_FLAG: ContextVar[threading.Event | None] = ContextVar("generation_cancelled", default=None)


@contextmanager
def cancelled_by(flag: threading.Event) -> Iterator[None]:
    """Let `flag`, once set, end the generations called within, at their next step.

    They raise Cancelled. The flag holds for the calling context only: other threads go on.
    """
    token = _FLAG.set(flag)
    try:
        yield
    finally:
        _FLAG.reset(token)


def check_cancelled() -> None:
    """Raise Cancelled if the flag of this context is set."""
    flag = _FLAG.get()
    if flag is not None and flag.is_set():
        raise Cancelled
