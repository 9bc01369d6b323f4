"""The limit on requests in hand at once, and when those turned away are to try again."""

import math
from types import TracebackType

from server.errors import busy


class ConcurrencyLimit:
    """Counts the requests inside and turns away those beyond `limit`; lives on the event loop.

    workers: how many are worked on at once, to tell how long a wait will be.
    """

    def __init__(self, limit: int, workers: int) -> None:
        self._limit = limit
        self._workers = workers
        self._inside = 0
        self._mean_s = 1.0

    async def __aenter__(self) -> None:
        """Admit a request; raises BusyError where as many as may are in hand."""
        if self._inside >= self._limit:
            wait = max(1, math.ceil(self._inside * self._mean_s / self._workers))
            raise busy(f"The server has {self._limit} requests in hand, its limit", wait)
        self._inside += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it out."""
        self._inside -= 1

    def record(self, seconds: float) -> None:
        """Learn how long one piece of work took: an exponential mean over about ten."""
        self._mean_s += 0.1 * (seconds - self._mean_s)
