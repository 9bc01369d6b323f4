"""Calls that come from several threads and are made on the one thread of a device, as the engine makes them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from models.runtime.scheduler import Scheduler


@contextmanager
def one_at_a_time() -> Iterator[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Yield what turns a method into one that runs on a device's thread, whoever calls it."""
    scheduler = Scheduler("device", 1)
    try:
        yield lambda method: lambda *args: scheduler.submit(partial(method, *args)).result(120)
    finally:
        assert scheduler.close(120)
