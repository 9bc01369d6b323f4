"""The budget of memory for requests that run: it follows the limit of the process."""

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable

from models.memory import resident_memory, usable_memory
from server.errors import TooLargeError

log = logging.getLogger("retouch")

_SHARE = 0.9
"""Share of the limit that is given out. The rest is for connections, threads and pages that malloc keeps."""
_LEAST = 128 * 2**20
"""The smallest budget in bytes: small pictures are served, even where the models fill the container."""
_MAX_OVERTAKEN = 8
"""Pieces of work that may start before one that was first and did not fit; then all others wait for it."""
_LOOK_S = 1.0
"""Shortest time between two looks at what the process keeps, in seconds."""
_MEBIBYTE = 2**20
UNLIMITED = 1 << 62
"""A budget of so many bytes is none: the system does not tell its memory."""


class MemoryBudget:
    """Admits work while the estimates of all that runs fit together. Threads may share it.

    total_mb: the budget in MiB; None: it follows the limit of the process, of which `follow_process` takes
    what the process has at rest. Later it has more: onnxruntime keeps the working memory of as many calls of a
    model as there were at once. So what runs together gets less then, but work that would have fitted alone at
    the start still runs alone. clock: in seconds.

    A queue offers its work in its own order and skips what does not fit, so small work passes large work;
    but only `_MAX_OVERTAKEN` times: then nothing else starts until the running work has made room for it.
    """

    def __init__(
        self, total_mb: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_fixed = total_mb is not None
        self._total = _own_share() if total_mb is None else total_mb * _MEBIBYTE
        self._shared = self._total
        self._clock = clock
        self._looked_at = -math.inf
        self._used = 0
        self._first: weakref.ref[object] | None = None
        self._overtaken = 0
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """The budget in bytes."""
        return self._total

    @property
    def used(self) -> int:
        """The estimates of all work that runs, in bytes."""
        return self._used

    @property
    def reserved(self) -> object | None:
        """The work that nothing else may pass any more; None if there is none."""
        with self._lock:
            first = self._first() if self._first else None
            return first if self._overtaken >= _MAX_OVERTAKEN else None

    def follow_process(self) -> None:
        """Set the budget anew from what the process has now: call it once the models are loaded."""
        if not self._is_fixed:
            self._total = self._shared = _own_share()
        log.info("requests may use %d MiB of memory together", self._total // _MEBIBYTE)
        self._tell()

    def on_room(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever work may fit that did not fit before; it must not block."""
        self._listeners.append(listener)

    def check(self, amount: int) -> None:
        """Raise TooLargeError for work that would not fit even if it ran alone.

        Repeating it would not help, so this is 413 and not 503.
        """
        if amount > self._total:
            raise TooLargeError(
                f"This request needs about {-(-amount // _MEBIBYTE)} MiB of memory, and the server has"
                f" {self._total // _MEBIBYTE} MiB for requests. Send a smaller picture, or ask for a smaller"
                " result; whoever runs the server can raise RETOUCH_REQUEST_MEMORY_MB or its memory limit."
            )

    def try_acquire(self, amount: int, work: object = None) -> bool:
        """Take `amount` bytes if they fit now; False if the work must wait.

        amount: of `Cost.memory`; `release` it when the work ends. More than the budget fits if nothing else
        runs: a job may have been accepted under a larger one. work: what waits, the same object at each
        try; if it is given up, call `withdraw`. None: work for which nothing else ever waits.
        """
        with self._lock:
            first = self._first() if self._first else None
            is_turn_of_another = first not in (None, work) and self._overtaken >= _MAX_OVERTAKEN
            if is_turn_of_another or (self._used and self._used + amount > self._shared):
                if first is None and work is not None:
                    self._first, self._overtaken = weakref.ref(work), 0
                return False
            if first is not None and first is work:
                self._first = None
            elif first is not None:
                self._overtaken += 1
            self._used += amount
            return True

    def release(self, amount: int) -> None:
        """Give back what `try_acquire` took, and tell the listeners."""
        with self._lock:
            self._look()
            self._used = max(0, self._used - amount)
        self._tell()

    def _look(self) -> None:
        """Find out what the process keeps besides what the running work was expected to take."""
        if self._is_fixed or self._clock() - self._looked_at < _LOOK_S:
            return
        self._looked_at = self._clock()
        self._shared = min(self._total, _own_share(self._used))

    def withdraw(self, work: object) -> None:
        """Forget work that waited and will not run, such as that of a caller who has left."""
        with self._lock:
            if self._first is None or self._first() not in (None, work):
                return
            self._first = None
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _own_share(used: int = 0) -> int:
    """Return the bytes that this process may use besides those it keeps. used: of what it has now, by work."""
    limit = usable_memory()
    if limit is None:
        return 2**63
    return max(_LEAST, round(_SHARE * limit) - max(0, resident_memory() - used))
