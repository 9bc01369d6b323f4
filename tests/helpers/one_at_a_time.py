"""Runs calls from several threads on the one thread of a device, as the engine does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from models.runtime.scheduler import Scheduler


@contextmanager
def one_at_a_time() -> Iterator[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Yield a decorator that runs a method on a device's thread, from whatever thread it is called."""
    scheduler = Scheduler("device", 1)
    try:
        yield lambda method: lambda *args: scheduler.submit(partial(method, *args)).result(120)
    finally:
        assert scheduler.close(120)
