"""Build the parts of the server once and connect them."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from models.catalog.profile import load_profile
from models.roles import Models
from models.runtime.scheduled_models import ScheduledModels
from models.runtime.scheduler import Scheduler
from server.dependencies import Dependencies
from server.durations import Durations
from server.endpoints import Endpoints
from server.http.admission import ConcurrencyLimit
from server.http.auth import Tokens
from server.http.idempotency import Idempotency, lease
from server.http.other_servers import OtherServers
from server.http.rate_limits import RateLimits
from server.http.result_links import ResultLinks
from server.http.results import Delivery
from server.http.uploads import Intake
from server.jobs.durable import DurableJobs
from server.jobs.executor import JobExecutor
from server.jobs.queue import JobQueue
from server.jobs.runner import JobRunner
from server.jobs.serialization import JobSerializer
from server.jobs.waiting import slow_roles
from server.memory_budget import MemoryBudget
from server.open_storage import StorageParts, open_storage
from server.operations import OPERATIONS
from server.settings import Settings
from server.storage_limits import StorageLimits
from server.visuals import Visuals
from server.webhooks.body import read_body
from server.webhooks.delivery import WebhookDelivery
from server.webhooks.sender import WebhookSender
from storage.breaker import Availability
from storage.idempotency import IdempotencyKeys
from storage.records import Records
from storage.requests_in_work import RequestsInWork
from storage.stores import Stores
from storage.tokens import TokenTable

log = logging.getLogger("retouch")

_JOBS_PER_REQUEST = 4
"""Unfinished jobs accepted for each request that may wait; jobs wait on disk, not in memory."""
_FILES_OF_FULL_SIZE = 24
"""The files of requests that wait may have as many bytes as so many of the largest ones."""
_MIN_EXTRA, _MAX_EXTRA = 2, 16
"""Bounds of the number of further workers, which otherwise is that of the workers."""


class WarmModels(Models, Protocol):
    """Models that can be loaded ahead of the first request."""

    def warm_up(self) -> None:
        """Load each model and run it once."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Accept no more calls; return False if one runs for longer than `timeout_s` seconds."""
        ...


@dataclass(frozen=True)
class AppContext:
    """The parts that the application starts, uses and stops.

    is_shared: whether other servers may use the database.
    """

    stores: Stores
    records: Records
    visuals: Visuals
    dependencies: Dependencies
    scheduler: Scheduler
    models: WarmModels
    durable: DurableJobs
    endpoints: Endpoints
    durations: Durations
    idempotency: Idempotency
    availability: Availability
    storage: StorageLimits
    token_table: TokenTable
    rate_limits: RateLimits
    memory: MemoryBudget
    others: OtherServers
    requests_in_work: RequestsInWork | None
    is_shared: bool

    def remove_results_of_revoked(self) -> None:
        """Remove the results of revoked organisations, also of jobs that ended after the revocation.

        It blocks. Raises StoreUnavailableError, DatabaseUnavailableError.
        """
        lasting = self.dependencies.tokens.settings_organisations
        for organisation in set(self.token_table.closed_organisations()) - lasting:
            self.stores.results.delete_folder(organisation)

    def close(self, timeout_s: float) -> bool:
        """Stop all work; return False if some of it runs for longer than `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        is_closed = self.scheduler.close(timeout_s)
        return self.models.close(max(0.0, deadline - time.monotonic())) and is_closed

    def disconnect(self, *, is_queue_closed: bool) -> None:
        """Close the database, after all work has stopped.

        is_queue_closed: whether no thread of the queue still waits for the database; such threads are left to
        the end of the process, which is near.
        """
        self.records.close()
        if is_queue_closed:
            self.availability.close()


def build_context(settings: Settings, models: WarmModels) -> AppContext:
    """Return all parts; raises OSError if the store or the database is unavailable."""
    parts = open_storage(settings)
    memory = MemoryBudget(settings.request_memory_mb)
    quota = _quota(parts.tokens, settings.max_at_once)
    others = OtherServers(parts.requests_in_work, lambda: quota() > 0)
    dependencies = _dependencies(settings, parts, memory, quota, others)
    scheduler = Scheduler(
        "worker", settings.workers, checks=1, extra=_extra(settings.workers), budget=memory
    )
    memory.on_room(scheduler.wake)
    durations = Durations()
    executor = JobExecutor(
        ScheduledModels(models, scheduler),
        parts.stores.results,
        dependencies.visuals,
        settings.moderation_threshold,
        settings.profile,
        durations,
        _slow_roles(settings.profile),
        parts.limits,
    )
    durable = _durable_jobs(settings, parts, dependencies, executor, scheduler)
    endpoints = Endpoints(dependencies, executor, durable, scheduler, parts.availability, memory)
    return AppContext(
        parts.stores,
        parts.records,
        dependencies.visuals,
        dependencies,
        scheduler,
        models,
        durable,
        endpoints,
        durations,
        _idempotency(settings, parts),
        parts.availability,
        parts.limits,
        parts.token_table,
        RateLimits(settings, parts.tokens, parts.shared_counters),
        memory,
        others,
        parts.requests_in_work,
        settings.database_url is not None,
    )


def _dependencies(
    settings: Settings,
    parts: StorageParts,
    memory: MemoryBudget,
    quota: Callable[[], int],
    others: OtherServers,
) -> Dependencies:
    """Return what the operations use. quota: of requests of one organisation in work, on all servers."""
    stores, tokens, signer = parts.stores, parts.tokens, parts.link_signer
    return Dependencies(
        settings,
        tokens,
        ConcurrencyLimit(
            settings.max_waiting,
            settings.workers,
            quota,
            lambda: min(_FILES_OF_FULL_SIZE * settings.max_body_mb * 2**20, memory.total // 4),
            others,
        ),
        Intake(settings, ResultLinks(stores.results, signer)),
        Visuals(parts.records, stores.visuals, stores.results, parts.limits, settings.visual_ttl_s),
        Delivery(stores.results, signer, settings.public_url, settings.link_ttl_s),
        parts.limits,
    )


def _durable_jobs(
    settings: Settings,
    parts: StorageParts,
    dependencies: Dependencies,
    executor: JobExecutor,
    scheduler: Scheduler,
) -> DurableJobs:
    """Return the jobs of sync=false."""
    serializer = JobSerializer(
        {operation.key: operation for operation in OPERATIONS},
        parts.stores.sources,
        parts.limits,
    )
    runner = JobRunner(
        serializer,
        parts.stores.results,
        executor,
        scheduler,
        dependencies.delivery,
        settings.job_timeout_s,
        parts.limits,
        parts.availability,
    )
    return DurableJobs(
        parts.queue,
        serializer,
        runner,
        _webhooks(settings, parts.queue),
        _JOBS_PER_REQUEST * settings.max_waiting,
        _quota(parts.tokens, settings.max_jobs),
    )


def _idempotency(settings: Settings, parts: StorageParts) -> Idempotency:
    """Return the answers to repeated requests."""
    ttl = timedelta(seconds=settings.idempotency_ttl_s)
    keys = IdempotencyKeys(parts.records.engine, ttl, lease(settings))
    return Idempotency(
        settings, parts.tokens, keys, parts.owner, parts.limits, parts.stores.results
    )


def _quota(tokens: Tokens, value: int) -> Callable[[], int]:
    """Return what tells the quota of each organisation: none, 0, as long as no token is required."""
    return lambda: value if tokens.required else 0


def _extra(workers: int) -> int:
    """Return how many workers more there are for organisations below their share."""
    return min(max(_MIN_EXTRA, workers), _MAX_EXTRA)


def _webhooks(settings: Settings, queue: JobQueue) -> WebhookDelivery:
    """Return the delivery of webhooks; their receivers are reached as the hosts of pictures are."""
    proxy = settings.fetch_proxy
    sender = WebhookSender(
        settings.allowed_url_networks,
        settings.webhook_timeout_s,
        concurrency=settings.webhook_concurrency,
        user_agent=settings.fetch_user_agent,
        proxy=proxy.get_secret_value() if proxy else None,
    )
    return WebhookDelivery(
        sender, read_body(queue.find), settings.webhook_concurrency, settings.webhook_retry_s
    )


def _slow_roles(name: str) -> dict[str, float]:
    """Return what only requests with sync=false may use in a profile, and log how long it takes."""
    slow = slow_roles(load_profile(name))
    for role, seconds in slow.items():
        log.info("%s takes about %.0f s a result; only sync=false may use it", role, seconds)
    return slow
