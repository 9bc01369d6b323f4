"""Metrics of what waits and runs: places, workers, queues by role, and the memory of running requests."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from models.runtime.task import KINDS
from server.context import AppContext
from server.memory_budget import UNLIMITED
from server.metrics.families import gauge, gauges


def queues(context: AppContext, places: int) -> Iterator[Metric]:
    """Yield the state of the queues. places: the setting MAX_WAITING. Use it in the event loop."""
    held = sum(one.requests for one in context.dependencies.concurrency_limit.in_work().values())
    yield gauge("retouch_places_in_use", "Requests that run or wait for a worker.", held)
    yield gauge(
        "retouch_places_free", "Requests more that would be accepted.", max(0, places - held)
    )
    scheduler = context.scheduler
    waiting = scheduler.waiting_by_kind()
    running = sum(load.running for load in scheduler.loads().values())
    yield gauge("retouch_workers", "Tasks that the workers run at once.", scheduler.threads)
    yield gauge("retouch_tasks_running", "Tasks that workers run.", running)
    yield gauges(
        "retouch_tasks_waiting",
        "Tasks that wait for a worker, by kind: check, call or job.",
        "role",
        {(kind,): waiting[kind] for kind in KINDS},
    )
    yield gauge(
        "retouch_request_memory_bytes",
        "What the running tasks take of the memory, by estimate.",
        context.memory.used,
    )
    if context.memory.total < UNLIMITED:
        yield gauge(
            "retouch_request_memory_budget_bytes",
            "What they may take together.",
            context.memory.total,
        )
