"""Sessions of onnxruntime for one network, each at the disposal of one call at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

import onnxruntime as ort


class Sessions:
    """As many sessions as calls may run at once, made when they are first needed.

    A session's working memory grows whenever calls meet in it in an order that leaves no gap large
    enough, and never shrinks. One call at a time asks for the same blocks in the same order: the
    memory of a session is then the same from its first call on.
    """

    def __init__(self, make: Callable[[], ort.InferenceSession], most: int) -> None:
        """Make the first session, which shows whether the network can be loaded.

        most: of them. More workers than cores gain nothing here, and each session keeps its memory.
        """
        self._make = make
        self._idle = [make()]
        self._free = BoundedSemaphore(most)

    @contextmanager
    def lend(self) -> Iterator[ort.InferenceSession]:
        """Lend a session; waits while all are in use. The one used last goes first."""
        with self._free:
            # A list's pop and append are whole operations: no lock is needed.
            try:
                session = self._idle.pop()
            except IndexError:
                session = self._make()
            try:
                yield session
            finally:
                self._idle.append(session)
