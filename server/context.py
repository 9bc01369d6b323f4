"""The parts of the server, each made once and wired to the others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.roles import Models
from server.dependencies import Dependencies
from server.endpoints import Endpoints
from server.http.admission import ConcurrencyLimit
from server.http.auth import Tokens
from server.http.results import Delivery
from server.http.uploads import Intake
from server.jobs.durable import DurableJobs
from server.jobs.executor import JobExecutor
from server.jobs.queue import JobQueue
from server.jobs.runner import JobRunner
from server.jobs.serialization import JobSerializer
from server.jobs.workers import Workers
from server.settings import Settings
from server.v1 import OPERATIONS
from server.visuals import Visuals
from storage.database import database_url
from storage.links import LinkSigner, load_or_create_secret
from storage.records import Records
from storage.server_lease import ServerLease
from storage.stores import Stores, open_stores


class WarmModels(Models, Protocol):
    """Models that can be loaded ahead of the first request."""

    def warm_up(self) -> None:
        """Load each model and run it once."""
        ...


@dataclass(frozen=True)
class AppContext:
    """What the application starts, uses and stops."""

    stores: Stores
    records: Records
    visuals: Visuals
    dependencies: Dependencies
    workers: Workers
    durable: DurableJobs
    endpoints: Endpoints


def build_context(settings: Settings, models: WarmModels) -> AppContext:
    """Make every part; raises OSError where the store or the database is not to be had."""
    data = settings.data_dir
    stores = open_stores(settings.store_address)
    if settings.database_url is None:
        records = Records(database_url(f"sqlite:///{data.absolute()}/records.db"))
        queue = JobQueue(data / "jobs.db")
    else:
        url = database_url(settings.database_url.get_secret_value())
        records = Records(url)
        queue = JobQueue(ServerLease(url))
    visuals = Visuals(records, stores.visuals, stores.results)
    # Servers that share a folder of results share the secret of their links.
    shared = settings.store_address
    signer = LinkSigner(
        load_or_create_secret((shared if isinstance(shared, Path) else data) / "link-secret")
    )
    dependencies = Dependencies(
        settings,
        Tokens(settings.api_tokens),
        ConcurrencyLimit(settings.max_waiting, settings.workers),
        Intake(settings),
        visuals,
        Delivery(stores.results, signer, settings.public_url, settings.link_ttl_s),
    )
    executor = JobExecutor(models, stores.results, visuals, settings.moderation_threshold)
    workers = Workers(settings.workers)
    serializer = JobSerializer(
        {operation.path: operation for operation in OPERATIONS}, stores.sources
    )
    runner = JobRunner(serializer, stores.results, executor, workers, settings.job_timeout_s)
    durable = DurableJobs(queue, serializer, runner, settings.max_undone)
    endpoints = Endpoints(dependencies, executor, durable, workers)
    return AppContext(stores, records, visuals, dependencies, workers, durable, endpoints)
