"""Metrics of the jobs of sync=false: how many there are by state, how old the oldest is, and how they end."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import get_args

from prometheus_client.metrics_core import Metric

from server.jobs.durable import DurableJobs
from server.jobs.overview import JobsOverview, StateOfJob
from server.metrics.families import counters, gauge, gauges


def unfinished(known: JobsOverview, durable: DurableJobs) -> Iterator[Metric]:
    """Yield the state of the unfinished jobs; the same on all servers of a database, but for who has them."""
    states: dict[str, int] = dict.fromkeys(get_args(StateOfJob), 0)
    states |= Counter(durable.state_of(one) for one in known.unfinished)
    yield gauges(
        "retouch_jobs",
        "Jobs of sync=false that are not finished, by state: queued for any server; waiting for a worker of this"
        " one, or running there; elsewhere.",
        "state",
        {(state,): count for state, count in states.items()},
    )
    oldest = min((one.accepted for one in known.unfinished), default=None)
    age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    text = "Age of the oldest job that is not finished, on any server; 0 without one."
    yield gauge("retouch_oldest_job_seconds", text, max(0.0, age))


def ended(durable: DurableJobs) -> Iterator[Metric]:
    """Yield how the jobs that this server ran have ended."""
    counts = {"completed": 0, "failed": 0, **durable.ended.all()}
    text = "Jobs that this server has finished, by outcome: completed, or failed."
    yield counters("retouch_jobs_ended", text, "outcome", counts)
