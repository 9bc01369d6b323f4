"""The lock for loading torch models."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from models.deadline import checkpoint

LOADING = threading.RLock()
"""Held while a model loads. `from_pretrained` patches functions of torch while it runs. Two
parallel loads would leave `torch.linspace` patched for ever (diffusers 0.42 with transformers
5)."""
_POLL_S = 0.1
"""Seconds between two checks of the deadline while a caller waits for a load to end."""


@contextmanager
def between_loads() -> Iterator[None]:
    """Let no model load in this context, for what uses torch's default dtype on the thread of a caller.

    A load can take minutes. Raises WorkCancelledError if nobody waits for the work any more.
    """
    while not LOADING.acquire(timeout=_POLL_S):
        checkpoint()
    try:
        yield
    finally:
        LOADING.release()
