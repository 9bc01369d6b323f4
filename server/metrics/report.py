"""Gather the metrics: counters as they are, states from memory, and the readings that `/admin` shows too."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import disable_created_metrics
from prometheus_client.metrics_core import Metric

from server.admin.reading import Reading
from server.admin.report import AdminReport
from server.context import AppContext
from server.http.health import Readiness
from server.metrics import jobs
from server.metrics.build import build
from server.metrics.models import models
from server.metrics.queue import queues
from server.metrics.requests import RequestMetrics, refusals
from server.metrics.stages import StageMetrics
from server.metrics.storage import disk, services, stored
from server.metrics.webhooks import webhooks
from server.settings import Settings

log = logging.getLogger("retouch")

T = TypeVar("T")
_Encode = Callable[[Any], bytes]

_READ = ("jobs", "disk", "stored")
"""The groups of metrics that a database or a disk must be asked for."""


class MetricsReport:
    """The metrics of one server. requests, stages: are told what happens. Use it in one event loop.

    A scrape never fails: what cannot be read is left out, and counted in `retouch_scrape_errors_total`. It
    waits for the database and the disk as long as `/admin` does, 2 s at most.
    """

    def __init__(
        self, settings: Settings, context: AppContext, readiness: Readiness, admin: AdminReport
    ) -> None:
        # They would double the series, and Prometheus needs none of them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._context = context
        self._admin = admin
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = RequestMetrics()
        self.stages = StageMetrics(self._registry)
        self._errors = Counter(
            "retouch_scrape_errors",
            "Groups of metrics that could not be read and are missing from a scrape.",
            ("group",),
            registry=self._registry,
        )
        self._in_memory: dict[str, Callable[[], Iterable[Metric]]] = {
            "build": lambda: build(settings, readiness),
            "requests": self.requests.collect,
            "refusals": refusals,
            "queue": lambda: queues(context, settings.max_waiting),
            "models": lambda: models(context.models),
            "jobs_ended": lambda: jobs.ended(context.durable),
            "webhooks": webhooks,
            "services": lambda: services(context.availability),
        }
        for name in (*self._in_memory, *_READ):
            self._errors.labels(name)
        self._limiter: anyio.CapacityLimiter | None = None

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as text, and its media type. accept: the header; it decides between two formats."""
        read = await self._read()
        families = [*self._states(), *read]
        encode, media_type = _encoder(accept)
        # Not on the event loop: there are thousands of lines. One at a time, however many ask.
        self._limiter = self._limiter or anyio.CapacityLimiter(1)
        text = await anyio.to_thread.run_sync(
            encode, _Families(self._registry, families), limiter=self._limiter
        )
        return text, media_type

    def _states(self) -> Iterator[Metric]:
        """Yield what is in memory."""
        for name, group in self._in_memory.items():
            yield from self._group(name, group)

    async def _read(self) -> list[Metric]:
        """Return what is read from a database or a disk."""
        admin, durable = self._admin, self._context.durable
        parts = await asyncio.gather(
            self._latest("jobs", admin.jobs, lambda known: jobs.unfinished(known, durable)),
            self._latest("disk", admin.disk, disk),
            self._latest("stored", admin.storage, stored),
        )
        return [family for part in parts for family in part]

    async def _latest(
        self, name: str, reading: Reading[T], group: Callable[[T], Iterable[Metric]]
    ) -> list[Metric]:
        """Return the metrics of a reading; none if there are no newest figures."""
        found = await reading.latest()
        value = found.value
        if found.error is not None or value is None:
            self._errors.labels(name).inc()
            return []
        return self._group(name, lambda: group(value))

    def _group(self, name: str, group: Callable[[], Iterable[Metric]]) -> list[Metric]:
        try:
            return list(group())
        except Exception:  # the rest of the scrape must not fail with one of its parts
            log.exception("the metrics of %s are missing", name)
            self._errors.labels(name).inc()
            return []


def _encoder(accept: str) -> tuple[_Encode, str]:
    """Return what writes the format that a header asks for; the plain one if it asks for no known version."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # the library compares a version that is no number with one
        return choose_encoder("")


class _Families:
    """A registry with further families, for the encoders of the library."""

    def __init__(self, registry: CollectorRegistry, families: Iterable[Metric]) -> None:
        self._registry = registry
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        yield from self._families
        yield from self._registry.collect()
