"""The durable queue of jobs: DBOS workflows in an SQLite file or in PostgreSQL."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from dbos import DBOS, DBOSConfig, DBOSContextSetAuth, SetWorkflowAttributes, SetWorkflowID
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from models.log_context import log_scope
from server.errors import UnavailableError
from server.http.processor_time import counted
from server.jobs import dbos_instance
from server.jobs.outcome import Outcome, failed
from server.jobs.overview import JobsOverview, attributes_of, note_failure, read_overview
from server.jobs.recovery import JobRecovery
from server.jobs.running import running
from server.jobs.serialization import VERSION, SerializedJob, log_context_of
from server.jobs.stored_workflows import (
    EDIT,
    REQUEST,
    count_unfinished,
    find_workflow,
    load_workflow,
    remove_batch,
)
from server.webhooks.delivery import WebhookDelivery
from storage.breaker import Breaker
from storage.database import open_engine, open_queue_engine, wrap_database_errors
from storage.errors import DatabaseUnavailableError
from storage.server_lease import ServerLease

log = logging.getLogger("retouch")

_TIMEOUT_S = 10.0
"""Timeout for storing or finding a job; DBOS itself waits for its database as long as that takes."""
_POLL_S = 0.2
"""Seconds between two checks whether the database still answers."""
_THREADS = 8
_SINGLE = "local"
"""The name of the only process of a file."""
_POOL_SIZE = 10
"""Connections of this process to the database of the workflows."""

T = TypeVar("T")
P = TypeVarTuple("P")
RunJob = Callable[[str, SerializedJob], Outcome]
"""Runs a job by its name and its JSON form; returns its outcome."""


class JobQueue:
    """Stores jobs as DBOS workflows and runs them; one in each process, because DBOS has one instance.

    A job that this process does not finish runs again at the next start if the database is a file. In
    PostgreSQL any other process runs it (`server.jobs.recovery`).
    """

    def __init__(self, database: Path | ServerLease) -> None:
        """Use the SQLite file at a path, or the PostgreSQL database of a lease."""
        self._file = database if isinstance(database, Path) else None
        self._lease = database if isinstance(database, ServerLease) else None
        self._engine: Engine | None = None
        self._recovery: JobRecovery | None = None
        self._launch_lock = threading.Lock()
        self._launched = False
        self._rejected: set[str] = set()
        self._threads = ThreadPoolExecutor(_THREADS, "job-queue")
        self._run: RunJob | None = None
        self._webhooks: WebhookDelivery | None = None

    def start(self, run: RunJob, webhooks: WebhookDelivery) -> None:
        """Run jobs with `run`, first those that earlier processes did not finish, and send webhooks.

        A file is only opened if it exists or when the first job comes: DBOS takes a second to stop,
        and a server without jobs saves that.
        """
        self._run, self._webhooks = run, webhooks
        if self._lease is not None or (self._file is not None and self._file.exists()):
            self._launch()

    def enqueue(self, name: str, serialized: SerializedJob) -> None:
        """Store a job and start it; when this returns, the job survives a crash.

        Raises OSError if the database is unavailable, and UnavailableError if it does not answer.
        """
        if self._lease is not None:
            self._lease.check()
        with wrap_database_errors():
            self._launch()
        future = self._threads.submit(counted(_start_workflow), name, serialized)
        if not wait([future], _TIMEOUT_S).done:
            if not future.cancel():
                # The database may still store it later, but its caller gets an error: it must not run.
                self._rejected.add(name)
            raise UnavailableError("The job could not be stored: the database does not answer.")
        with wrap_database_errors():
            future.result()

    def find(self, organisation: str, name: str) -> Outcome | None:
        """Return the outcome of an organisation's job, or IN_PROGRESS; None if there is no such job.

        Raises OSError if the database is unavailable, and UnavailableError if it does not answer.
        """
        return self._look_up(find_workflow, organisation, name)

    def load(self, organisation: str, name: str) -> SerializedJob | None:
        """Return an organisation's job; None if there is no such job. Raises as `find` does."""
        return self._look_up(load_workflow, organisation, name)

    def unfinished(self, organisation: str, most: int) -> int:
        """Return how many jobs of an organisation are not finished, on all servers; counts up to `most`.

        0 where no other server shares the database: this one knows its jobs. Raises as `find` does.
        """
        if self._lease is None:
            return 0
        return self._look_up(count_unfinished, organisation, most) or 0

    def overview(self) -> JobsOverview:
        """Return the jobs of all organisations, for operators. Raises as `find` does."""
        return self._look_up(read_overview, self._file is not None) or JobsOverview()

    @property
    def server(self) -> str:
        """The name of this process in the database."""
        return _SINGLE if self._lease is None else self._lease.name

    def _look_up(self, look: Callable[[*P], T | None], *arguments: *P) -> T | None:
        if self._run is None:
            raise UnavailableError("The jobs cannot be read yet: the disk of the server is full.")
        if not self._launched:  # then there has never been a job
            return None
        if self._breaker is not None:
            self._breaker.check()
        future = self._threads.submit(counted(look), *arguments)
        if not wait([future], _TIMEOUT_S).done:
            future.cancel()
            raise UnavailableError("The job could not be found: the database does not answer.")
        with wrap_database_errors():
            return future.result()

    def sweep(self, kind: str, older_than: datetime) -> None:
        """Remove the jobs that finished before `older_than`; DBOS itself never removes any.

        kind: `EDIT`, `REQUEST` or `WEBHOOK`. Raises DatabaseUnavailableError if the database does not answer.
        """
        while self._launched:
            if self._breaker is not None:
                self._breaker.check()
            batch = self._threads.submit(remove_batch, kind, older_than)
            if not self._wait_while_it_answers(batch):
                raise DatabaseUnavailableError("the database does not answer")
            if not batch.result():
                return

    def close(self) -> bool:
        """Close the database; on PostgreSQL other processes then run the unfinished jobs.

        False if the database does not answer: the threads of DBOS then still wait for it. What they would have
        written is done again by the process that runs their jobs, so this one may exit at once.
        """
        thread = ThreadPoolExecutor(1, "job-queue-close")
        closing = thread.submit(self._close)
        thread.shutdown(wait=False)
        if self._wait_while_it_answers(closing):
            closing.result()
            return True
        dbos_instance.leave_to_end(closing)
        log.warning(
            "unfinished jobs stay in the database, which does not answer, for the next start"
        )
        return False

    @property
    def _breaker(self) -> Breaker | None:
        return None if self._lease is None else self._lease.breaker

    def _wait_while_it_answers(self, call: Future[Any]) -> bool:
        """Wait for a call of DBOS, which itself waits while its database does not answer; False then."""
        while not wait([call], _POLL_S).done:
            if self._breaker is not None and self._breaker.reason is not None:
                return False
        return True

    def _close(self) -> None:
        if self._recovery is not None:
            self._recovery.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._launched:
            dbos_instance.destroy()
            _queues.remove(self)
            if self._webhooks is not None:
                self._webhooks.close()
        if self._engine is not None:
            self._engine.dispose()
        if self._lease is not None:
            self._lease.close()

    def run(self, name: str, serialized: SerializedJob) -> Outcome:
        """Run a job, unless its caller got an error for it; return its outcome."""
        with log_scope(log_context_of(name, serialized)):
            return self._run_logged(name, serialized)

    def _run_logged(self, name: str, serialized: SerializedJob) -> Outcome:
        if name in self._rejected:
            self._rejected.discard(name)
            return failed(UnavailableError.code, "The job could not be stored.")
        if self._run is None or self._webhooks is None:
            raise RuntimeError("the queue is not started")
        outcome = self._run(name, serialized)
        # Before the outcome is stored, so that no crash loses it; it is sent when the outcome is stored.
        if (webhook := serialized.get("webhook")) is not None:
            self._webhooks.notify(
                name, serialized["organisation"], webhook, serialized.get("correlation_id", "")
            )
        note_failure(name, outcome)
        return outcome

    def _launch(self) -> None:
        with self._launch_lock:
            if self._launched:
                return
            if self._webhooks is None:
                raise RuntimeError("the queue is not started")
            dbos_instance.wait_for_earlier()
            _queues.append(self)
            self._webhooks.open()
            try:
                if self._file is not None:
                    _use_write_ahead_log(self._file)
                DBOS(config=self._config())
                DBOS.launch()
                self._launched = True
                self._webhooks.register()
            except BaseException:  # the next job retries the launch
                self._launched = False
                dbos_instance.destroy()
                _queues.remove(self)
                self._webhooks.close()
                raise
            if self._lease is not None:
                self._recovery = JobRecovery(self._lease)

    def _config(self) -> DBOSConfig:
        common = DBOSConfig(name="retouch", application_version=VERSION, log_level="WARNING")
        if self._lease is None:
            url = f"sqlite:///{self._file and self._file.absolute()}"
            return DBOSConfig(**common, system_database_url=url, executor_id=_SINGLE)
        if self._engine is None:
            self._engine = open_queue_engine(self._lease.url, self._lease.breaker, _POOL_SIZE)
        return DBOSConfig(
            **common,
            system_database_url=self._lease.libpq_url,
            system_database_engine=self._engine,
            executor_id=self._lease.name,
        )


def _use_write_ahead_log(file: Path) -> None:
    """Let an SQLite file be read while it is written; the file keeps this mode, and DBOS leaves it as it is.

    In SQLite's default mode each look at a state holds up the writers, and a write costs twice the time.
    """
    engine = open_engine(make_url(f"sqlite:///{file.absolute()}"))
    try:
        engine.connect().close()
    finally:
        engine.dispose()


_queues: list[JobQueue] = []
"""The queue of this process is the last one: DBOS finds a workflow by name, not by object."""


@DBOS.workflow(name=EDIT, max_recovery_attempts=None)
def edit(serialized: dict[str, Any]) -> None:
    """Run one job in its JSON form; only its links tell what became of it."""
    with running.noted(str(DBOS.workflow_id)):
        _queues[-1].run(str(DBOS.workflow_id), serialized)


@DBOS.workflow(name=REQUEST, max_recovery_attempts=None)
def request(serialized: dict[str, Any]) -> dict[str, Any]:
    """Run one job in its JSON form; return its outcome, for the status service."""
    with running.noted(str(DBOS.workflow_id)):
        return dict(_queues[-1].run(str(DBOS.workflow_id), serialized))


def _start_workflow(name: str, serialized: Mapping[str, Any]) -> None:
    workflow: Callable[[dict[str, Any]], Any] = request if serialized["has_status"] else edit
    with (
        SetWorkflowID(name),
        SetWorkflowAttributes(attributes_of(serialized)),
        DBOSContextSetAuth(serialized["organisation"], None),
    ):
        DBOS.start_workflow(workflow, dict(serialized))
