"""Open everything in which the server stores something, with its limits."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from server.http.auth import Tokens
from server.jobs.queue import JobQueue
from server.public_host import public_address
from server.settings import Settings
from server.storage_limits import Quota, StorageLimits
from storage.breaker import Availability, Breaker
from storage.database import database_breaker
from storage.disk_reserve import DiskReserve
from storage.links import LinkSigner, load_or_create_secret
from storage.rate_counters import DatabaseCounters
from storage.records import Records
from storage.requests_in_work import RequestsInWork
from storage.revocable_links import RevocableLinks
from storage.server_lease import ServerLease, SingleServer
from storage.stored_bytes import StoredBytes
from storage.stores import Stores, open_stores
from storage.tokens import TokenTable

_BUCKET_QUOTA = 100 << 30
"""What one organisation may store in a bucket by default, in bytes."""


@dataclass(frozen=True)
class StorageParts:
    """The stores, the databases, and what rests on them alone.

    owner: this process among those that share the database. shared_counters, requests_in_work: of
    requests, in the database; None if this is the only server that uses it.
    """

    stores: Stores
    records: Records
    queue: JobQueue
    owner: SingleServer | ServerLease
    availability: Availability
    limits: StorageLimits
    token_table: TokenTable
    tokens: Tokens
    link_signer: RevocableLinks
    shared_counters: DatabaseCounters | None
    requests_in_work: RequestsInWork | None


def open_storage(settings: Settings) -> StorageParts:
    """Return all parts; raises OSError if the store or the database is unavailable."""
    reserves = _open_reserves(settings)
    address = settings.store_address
    stores = open_stores(address, reserves.get(address) if isinstance(address, Path) else None)
    with ExitStack() as room:
        for reserve in reserves.values():  # the last process may have left a full disk
            room.enter_context(reserve.room())
        records, queue, owner, breakers = _open_databases(settings)
    is_shared = settings.database_url is not None
    table = TokenTable(records.engine)
    tokens = Tokens(settings.api_tokens, table, is_open=public_address(settings) is None)
    limits = StorageLimits(
        tokens,
        StoredBytes(records.engine),
        _quota(settings),
        list(reserves.values()),
        timedelta(seconds=settings.link_ttl_s + 60),
    )
    return StorageParts(
        stores,
        records,
        queue,
        owner,
        Availability([stores.breaker, *breakers]),
        limits,
        table,
        tokens,
        RevocableLinks(_link_signer(settings), table, tokens.settings_organisations),
        DatabaseCounters(records.engine) if is_shared else None,
        RequestsInWork(records.engine, owner.name) if is_shared else None,
    )


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
