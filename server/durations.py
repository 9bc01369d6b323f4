"""How long each operation took on this server."""

import statistics
import threading
from collections import deque

_KEPT = 50
"""Runs of each operation that are remembered."""


class Durations:
    """The durations of the last runs of each operation. Threads may share it."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def record(self, operation: str, seconds: float) -> None:
        """Add one run."""
        with self._lock:
            self._runs.setdefault(operation, deque(maxlen=_KEPT)).append(seconds)

    def median(self, operation: str) -> float | None:
        """Return the median in seconds, to a hundredth; None if the operation has not run yet."""
        with self._lock:
            runs = list(self._runs.get(operation, ()))
        return round(statistics.median(runs), 2) if runs else None
