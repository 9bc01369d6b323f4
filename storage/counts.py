"""Counts by name that many threads add to, for those who look after a server."""

import threading
from collections.abc import Mapping


class Counts:
    """How often something has happened since the process began, by names of a small set. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> None:
        """Count one more. name: one of few, never a caller's text."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def all(self) -> Mapping[str, int]:
        """Return the counts."""
        with self._lock:
            return dict(self._counts)


SERVICE_ERRORS = Counts()
"""Calls of the services "store" and "database" that failed, also those that were refused in an outage."""
