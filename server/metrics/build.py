"""Metrics of the server itself: its version, whether it is ready, and what a scrape could not read."""

import importlib.metadata
import platform
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from models.catalog.profile import profile_title
from server.http.health import Readiness
from server.metrics.families import gauge, gauges
from server.settings import Settings


def build(settings: Settings, readiness: Readiness) -> Iterator[Metric]:
    """Yield what runs here, and whether it is ready."""
    labels = (
        importlib.metadata.version("retouch"),
        profile_title(settings.profile),
        settings.engine,
        platform.python_version(),
    )
    text = "Always 1; the labels say what runs."
    yield gauges("retouch_build_info", text, "version profile engine python", {labels: 1})
    _, code = readiness.state()
    yield gauge("retouch_ready", "Whether /readyz answers 200: 1 or 0.", float(code == 200))
