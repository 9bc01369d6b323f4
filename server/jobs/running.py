"""The workflows that run in this process: what the database takes for running here must be among them."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class RunningWorkflows:
    """Knows the workflows that run; threads share it. One may run twice at a time, for a while."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        """Note that a workflow runs while the context lasts."""
        with self._lock:
            self._counts[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[name] -= 1
                if not self._counts[name]:
                    del self._counts[name]

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._counts


running = RunningWorkflows()
"""Those of this process, whose DBOS has one instance."""
