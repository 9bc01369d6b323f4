"""Metrics of requests: how many by operation and code, how long they take, and why they are refused."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import refusal_reasons
from server.http.audit import ended_code
from server.http.refusals import REFUSED
from server.metrics.families import counters, gauge

UNKNOWN = "unknown"
"""The operation of a request that no route answers: its path and its method are its caller's text."""
_METHOD_NOT_ALLOWED = 405
_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_BOUNDS = [*map(str, _BUCKETS), "+Inf"]


class _Durations:
    """A histogram of durations: how many lie in each bucket, and their sum in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS) + 1)
        self.sum = 0.0


class RequestMetrics:
    """What is counted of requests. Use it in one event loop: it has no locks, so a request costs next to nothing.

    in_progress: requests that have not ended.
    """

    def __init__(self) -> None:
        self.in_progress = 0
        self._ended: dict[tuple[str, int], int] = {}
        self._durations: dict[str, _Durations] = {}

    def count(self, operation: str | None, code: int, seconds: float) -> None:
        """Count a request that has ended. operation: as the audit log has it."""
        name = UNKNOWN if operation is None or code == _METHOD_NOT_ALLOWED else operation
        self._ended[name, code] = self._ended.get((name, code), 0) + 1
        found = self._durations.get(name)
        if found is None:
            found = self._durations[name] = _Durations()
        found.counts[bisect_left(_BUCKETS, seconds)] += 1
        found.sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        text = "Requests that have ended, by route and status code; 499: the caller hung up before the answer."
        ended = CounterMetricFamily("retouch_requests", text, labels=["operation", "code"])
        for (name, code), count in self._ended.items():
            ended.add_metric([name, str(code)], count)
        yield ended
        text = "Time from the arrival of a request's head to the end of its answer, by route."
        durations = HistogramMetricFamily("retouch_request_seconds", text, labels=["operation"])
        for name, found in self._durations.items():
            buckets = list(zip(_BOUNDS, accumulate(found.counts), strict=True))
            durations.add_metric([name], buckets, found.sum)
        yield durations
        text = "Requests that have not ended."
        yield gauge("retouch_requests_in_progress", text, self.in_progress)


class CountRequests:
    """ASGI middleware: counts each request when its answer is complete; outside of `server.http.audit.Audit`."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application and count its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})  # copies of the scope share it
        start = time.perf_counter()
        self._metrics.in_progress += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._metrics.in_progress -= 1
            seconds = time.perf_counter() - start
            self._metrics.count(state.get("operation"), ended_code(scope), seconds)


def refusals() -> Iterator[Metric]:
    """Yield why requests were refused."""
    counts = dict.fromkeys(sorted(refusal_reasons()), 0) | dict(REFUSED.all())
    yield counters("retouch_refusals", "Requests that were refused, by reason.", "reason", counts)
