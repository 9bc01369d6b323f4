"""Gather what the page shows: memory at once, databases and disks by `server.admin.reading`."""

import asyncio
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from models.catalog.profile import profile_title
from models.memory import resident_memory, usable_memory
from models.runtime.model_states import ModelStates, ReportsModels
from server.admin.reading import Figures, Reading
from server.admin.state import (
    AdminState,
    FailedJobState,
    Jobs,
    Memory,
    ModelOfRole,
    Models,
    OtherServer,
    Queue,
    QueueOfOrganisation,
    RefusalState,
    Servers,
    Storage,
    StorageOfOrganisation,
    ThisServer,
    UnfinishedJobState,
)
from server.context import AppContext
from server.http.health import Readiness
from server.http.refusals import Refusals
from server.jobs.overview import MOST_UNFINISHED, JobsOverview
from server.memory_budget import UNLIMITED
from server.operations import OPERATIONS
from server.settings import Settings
from server.storage_limits import StorageState
from storage.server_lease import ServerState, server_states
from storage.stored_bytes import StoredByOrganisation

_LISTED = 50
"""Most rows of a list."""
_FRESH_S = 2.0
_STORAGE_FRESH_S = 60.0
"""What is stored is added up once a minute: it takes a look at each registered picture."""
_DATABASE = "The database does not answer."
_DISK = "The disk does not answer."
_MIB = 1 << 20


class AdminReport:
    """Describes a server to its operator. Use it in one event loop.

    jobs, storage, disk: the readings, which `/metrics` shares.
    """

    def __init__(
        self,
        settings: Settings,
        context: AppContext,
        readiness: Readiness,
        refusals: Refusals,
    ) -> None:
        self._settings = settings
        self._context = context
        self._readiness = readiness
        self._refusals = refusals
        self._started = datetime.now(UTC)
        self._paths = {one.key: f"{one.method} {one.url}" for one in OPERATIONS}
        self.jobs = Reading(context.durable.overview, _FRESH_S, _DATABASE)
        self._servers = Reading(self._read_servers, _FRESH_S, _DATABASE)
        self.storage = Reading(
            lambda: context.storage.by_organisation(_LISTED), _STORAGE_FRESH_S, _DATABASE
        )
        self.disk = Reading(context.storage.state, _FRESH_S, _DISK)

    async def describe(self) -> AdminState:
        """Return the state of the server; it waits some seconds at most for what does not answer."""
        servers, jobs, stored, disk = await asyncio.gather(
            self._servers.latest(),
            self.jobs.latest(),
            self.storage.latest(),
            self.disk.latest(),
        )
        now = datetime.now(UTC)
        return AdminState(
            time=now,
            server=self._this_server(),
            servers=self._other_servers(servers),
            jobs=self._job_states(jobs, now),
            models=self._model_states(),
            queue=self._queue(),
            refusals=[RefusalState(**one.__dict__) for one in self._refusals.latest()],
            storage=self._stored(stored, disk),
        )

    def _this_server(self) -> ThisServer:
        body, _ = self._readiness.state()
        return ThisServer(
            name=self._context.durable.server,
            version=importlib.metadata.version("retouch"),
            profile=profile_title(self._settings.profile),
            engine=self._settings.engine,
            started=self._started,
            status=body["status"],
            reason=body.get("reason"),
            has_tokens=self._context.dependencies.tokens.required,
        )

    def _read_servers(self) -> Sequence[ServerState]:
        """Return the servers that share the database; none if it is a file."""
        if not self._context.is_shared:
            return []
        return server_states(self._context.records.engine, _LISTED)

    def _other_servers(self, found: Figures[Sequence[ServerState]]) -> Servers:
        own = self._context.durable.server
        servers = [
            OtherServer(**one.__dict__, is_this=one.name == own) for one in found.value or ()
        ]
        servers.sort(key=lambda one: not one.is_this)
        return Servers(
            is_shared=self._context.is_shared,
            servers=servers,
            error=found.error,
            age_s=found.age_s,
        )

    def _job_states(self, found: Figures[JobsOverview], now: datetime) -> Jobs:
        known = found.value or JobsOverview()
        states = [(one, self._context.durable.state_of(one)) for one in known.unfinished]
        unfinished = [
            UnfinishedJobState(
                request_id=one.request_id,
                organisation=one.organisation,
                operation=self._path(one.operation),
                state=state,
                server=one.server,
                age_s=max(0.0, (now - one.accepted).total_seconds()),
            )
            for one, state in states[:_LISTED]
        ]
        failed = [
            FailedJobState(**{**one.__dict__, "operation": self._path(one.operation)})
            for one in known.failed
        ]
        return Jobs(
            counts=Counter(state for _, state in states),
            is_complete=len(states) < MOST_UNFINISHED,
            unfinished=unfinished,
            failed=failed,
            error=found.error,
            age_s=found.age_s,
        )

    def _path(self, key: str | None) -> str | None:
        """Return the route of an operation; its key if this version has no such operation."""
        return None if key is None else self._paths.get(key, key)

    def _model_states(self) -> Models:
        engine = self._context.models
        known = engine.model_states() if isinstance(engine, ReportsModels) else ModelStates([])
        limit, budget = usable_memory(), self._context.memory
        models = [ModelOfRole(**one.__dict__) for one in known.models]
        models.sort(key=lambda one: (not one.is_loaded, -one.memory_mb, one.role))
        return Models(
            models=models,
            memory=Memory(
                models_mb=known.held_mb,
                models_budget_mb=known.budget_mb,
                evicted_mb=known.evicted_mb,
                evicted_budget_mb=known.evicted_budget_mb,
                device=known.device,
                process_mb=round(resident_memory() / _MIB, 1),
                limit_mb=None if limit is None else round(limit / _MIB, 1),
                requests_mb=round(budget.used / _MIB, 1),
                requests_budget_mb=None
                if budget.total > UNLIMITED
                else round(budget.total / _MIB, 1),
            ),
        )

    def _queue(self) -> Queue:
        context, scheduler = self._context, self._context.scheduler
        loads = scheduler.loads()
        places = context.dependencies.concurrency_limit.in_work()
        elsewhere = context.others.by_organisation()
        rows = [
            QueueOfOrganisation(
                organisation=name,
                running=loads[name].running if name in loads else 0,
                waiting=loads[name].waiting - loads[name].waiting_jobs if name in loads else 0,
                waiting_jobs=loads[name].waiting_jobs if name in loads else 0,
                requests=places[name].requests if name in places else 0,
                elsewhere=elsewhere[name],
            )
            for name in {*loads, *places, *elsewhere}
        ]
        busy = [row for row in rows if _size(row)]
        busy.sort(key=lambda row: (-_size(row), row.organisation))
        return Queue(
            workers=scheduler.threads,
            running=sum(load.running for load in loads.values()),
            waiting=sum(load.waiting for load in loads.values()),
            max_requests=self._settings.max_waiting,
            organisations=busy[:_LISTED],
            organisation_count=len(busy),
        )

    def _stored(self, found: Figures[StoredByOrganisation], disk: Figures[StorageState]) -> Storage:
        limits = self._context.storage
        answer = Storage(
            is_counted=limits.counts,
            max_bytes=(limits.quota.max_bytes or None) if limits.counts else None,
            is_disk_full=limits.is_short,
            disk_error=disk.error,
            error=found.error,
            age_s=found.age_s,
        )
        if found.value is not None:
            answer.total_bytes, answer.organisation_count = (
                found.value.bytes,
                found.value.organisations,
            )
            answer.organisations = [
                StorageOfOrganisation(**one.__dict__) for one in found.value.shares
            ]
        if disk.value is not None:
            answer.disk_free_bytes, answer.disk_reserve_bytes = disk.value.free, disk.value.reserve
        return answer


def _size(row: QueueOfOrganisation) -> int:
    """Return by what an organisation is sorted: everything that it has in work."""
    tasks = row.running + row.waiting + row.waiting_jobs
    return max(tasks, row.requests) + row.elsewhere
