"""Build the parts of the server once and connect them."""

import logging
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from models.catalog.profile import load_profile
from models.roles import Models
from models.runtime.scheduler import ScheduledModels, Scheduler
from server.dependencies import Dependencies
from server.durations import Durations
from server.endpoints import Endpoints
from server.http.admission import ConcurrencyLimit
from server.http.auth import Tokens
from server.http.idempotency import Idempotency, lease
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
from server.operations import OPERATIONS
from server.settings import Settings, is_loopback
from server.storage_limits import Quota, StorageLimits
from server.visuals import Visuals
from server.webhooks.body import read_body
from server.webhooks.delivery import WebhookDelivery
from server.webhooks.sender import WebhookSender
from storage.breaker import Availability, Breaker
from storage.database import database_breaker
from storage.disk_reserve import DiskReserve
from storage.idempotency import IdempotencyKeys
from storage.links import LinkSigner, load_or_create_secret
from storage.rate_counters import DatabaseCounters
from storage.records import Records
from storage.revocable_links import RevocableLinks
from storage.server_lease import ServerLease, SingleServer
from storage.stored_bytes import StoredBytes
from storage.stores import Stores, open_stores
from storage.tokens import TokenTable

log = logging.getLogger("retouch")

_JOBS_PER_REQUEST = 4
"""Unfinished jobs accepted for each request that may wait; jobs wait on disk, not in memory."""
_MIN_EXTRA, _MAX_EXTRA = 2, 16
"""Bounds of the number of further workers, which otherwise is that of the workers."""

_BUCKET_QUOTA = 100 << 30
"""What one organisation may store in a bucket by default, in bytes."""


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
    """The parts that the application starts, uses and stops."""

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

    def disconnect(self) -> None:
        """Close the database, after all work has stopped."""
        self.records.close()
        self.availability.close()


def build_context(settings: Settings, models: WarmModels) -> AppContext:
    """Return all parts; raises OSError if the store or the database is unavailable."""
    reserves = _open_reserves(settings)
    store_address = settings.store_address
    stores = open_stores(
        store_address, reserves.get(store_address) if isinstance(store_address, Path) else None
    )
    with ExitStack() as room:
        for reserve in reserves.values():  # the last process may have left a full disk
            room.enter_context(reserve.room())
        records, queue, owner, breakers = _open_databases(settings)
    availability = Availability([stores.breaker, *breakers])
    table = TokenTable(records.engine)
    tokens = Tokens(settings.api_tokens, table, is_open=is_loopback(settings.host))
    storage = StorageLimits(
        tokens,
        StoredBytes(records.engine),
        _quota(settings),
        list(reserves.values()),
        timedelta(seconds=settings.link_ttl_s + 60),
    )
    visuals = Visuals(records, stores.visuals, stores.results, storage, settings.visual_ttl_s)
    signer = RevocableLinks(_link_signer(settings), table, tokens.settings_organisations)
    dependencies = Dependencies(
        settings,
        tokens,
        ConcurrencyLimit(
            settings.max_waiting, settings.workers, _quota_with(tokens, settings.max_at_once)
        ),
        Intake(settings, ResultLinks(stores.results, signer)),
        visuals,
        Delivery(stores.results, signer, settings.public_url, settings.link_ttl_s),
        storage,
    )
    memory = MemoryBudget(settings.request_memory_mb)
    scheduler = Scheduler(
        "worker", settings.workers, checks=1, extra=_extra(settings.workers), budget=memory
    )
    memory.on_room(scheduler.wake)
    durations = Durations()
    executor = JobExecutor(
        ScheduledModels(models, scheduler),
        stores.results,
        visuals,
        settings.moderation_threshold,
        settings.profile,
        durations,
        _slow_roles(settings.profile),
        storage,
    )
    serializer = JobSerializer(
        {operation.key: operation for operation in OPERATIONS},
        stores.sources,
        storage,
    )
    runner = JobRunner(
        serializer,
        stores.results,
        executor,
        scheduler,
        dependencies.delivery,
        settings.job_timeout_s,
        storage,
        availability,
    )
    limit = _JOBS_PER_REQUEST * settings.max_waiting
    durable = DurableJobs(
        queue,
        serializer,
        runner,
        _webhooks(settings, queue),
        limit,
        _quota_with(tokens, settings.max_jobs),
    )
    endpoints = Endpoints(dependencies, executor, durable, scheduler, availability, memory)
    ttl = timedelta(seconds=settings.idempotency_ttl_s)
    keys = IdempotencyKeys(records.engine, ttl, lease(settings))
    return AppContext(
        stores,
        records,
        visuals,
        dependencies,
        scheduler,
        models,
        durable,
        endpoints,
        durations,
        Idempotency(settings, dependencies.tokens, keys, owner, storage),
        availability,
        storage,
        table,
        RateLimits(settings, dependencies.tokens, _shared_counters(settings, records)),
        memory,
    )


def _shared_counters(settings: Settings, records: Records) -> DatabaseCounters | None:
    """Return the counters of requests in the database; None if this is the only server that uses it."""
    return None if settings.database_url is None else DatabaseCounters(records.engine)


def _quota_with(tokens: Tokens, value: int) -> int:
    """Return a quota of each organisation; 0, none, on a server that started without tokens."""
    return value if tokens.required else 0


def _extra(workers: int) -> int:
    """Return how many workers more there are for organisations below their share."""
    return min(max(_MIN_EXTRA, workers), _MAX_EXTRA)


def _open_reserves(settings: Settings) -> dict[Path, DiskReserve]:
    """Return the reserves of the disks on which the server writes, by folder: one for each disk."""
    folders = [settings.store_address] if isinstance(settings.store_address, Path) else []
    if settings.database_url is None:
        folders.append(settings.data_dir)
    limit = None if settings.disk_reserve_mb is None else settings.disk_reserve_mb << 20
    by_disk: dict[int, tuple[Path, DiskReserve]] = {}
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = folder.stat().st_dev
        by_disk.setdefault(disk, (folder, DiskReserve(folder, limit)))
    return dict(by_disk.values())


def _quota(settings: Settings) -> Quota:
    """Return what one organisation may store: by default a quarter of the store's disk."""
    if settings.max_stored_mb is not None:
        return Quota(settings.max_stored_mb << 20, settings.max_visuals)
    address = settings.store_address
    if not isinstance(address, Path):
        return Quota(_BUCKET_QUOTA, settings.max_visuals)
    stat = os.statvfs(address)
    return Quota(stat.f_blocks * stat.f_frsize // 4, settings.max_visuals)


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


def _open_databases(
    settings: Settings,
) -> tuple[Records, JobQueue, SingleServer | ServerLease, list[Breaker]]:
    """Return the records, the queue of jobs, this process among those that share them, and breakers."""
    url = settings.records_url
    if settings.database_url is None:
        records = Records(url)
        return records, JobQueue(settings.data_dir / "jobs.db"), SingleServer(), []
    breaker = database_breaker(url)
    records = Records(url, breaker)
    server_lease = ServerLease(url, breaker)
    return records, JobQueue(server_lease), server_lease, [breaker]


def _link_signer(settings: Settings) -> LinkSigner:
    """Return the signer of links; servers that share a folder of results share its secret there."""
    store_address = settings.store_address
    folder = store_address if isinstance(store_address, Path) else settings.data_dir
    return LinkSigner(load_or_create_secret(folder / "link-secret"))


def _slow_roles(name: str) -> dict[str, float]:
    """Return what only requests with sync=false may use in a profile, and log how long it takes."""
    slow = slow_roles(load_profile(name))
    for role, seconds in slow.items():
        log.info("%s takes about %.0f s a result; only sync=false may use it", role, seconds)
    return slow
