"""Limit the number of concurrent requests, and tell refused callers when to retry."""

import math
from types import TracebackType

from server.errors import busy_error


class ConcurrencyLimit:
    """An async context manager that admits at most `limit` requests at the same time.

    workers: how many requests run in parallel, to estimate the waiting time. Use it in one event loop.
    """

    def __init__(self, limit: int, workers: int) -> None:
        self._limit = limit
        self._workers = workers
        self._active = 0
        self._mean_s = 1.0

    async def __aenter__(self) -> None:
        """Admit a request; raises BusyError if the limit is reached."""
        if self._active >= self._limit:
            wait = max(1, math.ceil(self._active * self._mean_s / self._workers))
            raise busy_error(f"The server already handles {self._limit} requests, its limit", wait)
        self._active += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the request from the count."""
        self._active -= 1

    def record(self, seconds: float) -> None:
        """Add the duration of one request to the moving average, which covers about ten."""
        self._mean_s += 0.1 * (seconds - self._mean_s)
