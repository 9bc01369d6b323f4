"""A pool of onnxruntime sessions for one network. One call at a time uses a session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import onnxruntime as ort


class Sessions:
    """A pool of at most `limit` sessions. Each is made when it is first needed.

    The working memory of a session never shrinks. It grows when parallel calls in one session leave
    no gap large enough for a block. A single call at a time always needs the same blocks in the
    same order, so the memory of its session does not grow after the first call.
    """

    def __init__(self, make: Callable[[], ort.InferenceSession], limit: int) -> None:
        """Make the first session, so that a network that cannot be loaded fails here.

        limit: largest number of sessions. More sessions than cores are no faster, and each keeps
        its memory.
        """
        self._make = make
        self._idle = [make()]
        self._free = BoundedSemaphore(limit)

    @contextmanager
    def use(self) -> Iterator[ort.InferenceSession]:
        """Yield a session, the most recently used one first. Wait while all are in use."""
        with self._free:
            # pop and append of a list are atomic: no lock is needed.
            try:
                session = self._idle.pop()
            except IndexError:
                session = self._make()
            try:
                yield session
            finally:
                self._idle.append(session)
