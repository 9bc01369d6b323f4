"""Metrics of the store, the database and the disk."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from server.metrics.families import counters, gauge, gauges
from server.storage_limits import StorageState
from storage.breaker import Availability
from storage.counts import SERVICE_ERRORS
from storage.stored_bytes import StoredByOrganisation


def services(availability: Availability) -> Iterator[Metric]:
    """Yield whether the store and the database answer, and how often they did not."""
    states = availability.states()
    yield gauges(
        "retouch_service_up",
        "Whether the store or the database answers: 1 or 0. A database that is a file is not probed.",
        "service",
        {(name,): float(one.is_up) for name, one in states.items()},
    )
    text = "How often it was found not to answer any more."
    outages = {name: one.outages for name, one in states.items()}
    yield counters("retouch_service_outages", text, "service", outages)
    text = (
        "Calls of the store or the database that failed, also those that were refused in an outage."
    )
    errors = {"store": 0, "database": 0, **SERVICE_ERRORS.all()}
    yield counters("retouch_service_errors", text, "service", errors)


def disk(state: StorageState) -> Iterator[Metric]:
    """Yield the state of the disk that is closest to its reserve; nothing if the server writes on none."""
    if state.free is not None and state.reserve is not None:
        yield gauge("retouch_disk_free_bytes", "Free space of the disk.", state.free)
        text = "With less free space than this nothing new is stored."
        yield gauge("retouch_disk_reserve_bytes", text, state.reserve)
    text = "Whether nothing new is stored for want of space: 1 or 0."
    yield gauge("retouch_disk_full", text, float(state.is_short))


def stored(known: StoredByOrganisation) -> Iterator[Metric]:
    """Yield what all organisations store, on all servers of the database."""
    text = "What is stored and counted for all organisations together."
    yield gauge("retouch_stored_bytes", text, known.bytes)
