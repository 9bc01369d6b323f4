"""Where jobs are kept until they are done: DBOS, in a file of this folder or in PostgreSQL."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from server.errors import UnavailableError
from server.jobs.recovery import JobRecovery
from server.jobs.serialization import VERSION, SerializedJob
from storage.database import reaching_database
from storage.server_lease import ServerLease

log = logging.getLogger("retouch")

_ACCEPT_S = 10.0
"""How long keeping a job may take; DBOS itself waits for its database without end."""
_STARTERS = 8
_SWEEP = 1000
"""Workflows forgotten at once."""
_POOL = 10
"""Connections of this process to the database of the workflows."""

RunJob = Callable[[str, SerializedJob], None]


class JobQueue:
    """Preserve jobs as DBOS workflows and has each done; one of it in a process (DBOS has one instance).

    A job that this process ends without having done is done by its next start, where the database is a
    file; in PostgreSQL, by whichever process is there (`server.jobs.recovery`).
    """

    def __init__(self, database: Path | ServerLease) -> None:
        """Keep jobs in a file, or in the PostgreSQL database that this process is present in."""
        self._file = database if isinstance(database, Path) else None
        self._lease = database if isinstance(database, ServerLease) else None
        self._recovery: JobRecovery | None = None
        self._launching = threading.Lock()
        self._launched = False
        self._withdrawn: set[str] = set()
        self._starters = ThreadPoolExecutor(_STARTERS, "starter")
        self._run: RunJob | None = None

    def start(self, run: RunJob) -> None:
        """Have jobs done by `run`; take up those that ended processes left.

        A file is opened only once there is, or has been, a job: DBOS takes a second to stop, which a
        server without jobs is spared.
        """
        self._run = run
        if self._lease is not None or (self._file is not None and self._file.exists()):
            self._launch()

    def keep(self, name: str, serialized: SerializedJob) -> None:
        """Keep a job and have it begun: when this returns it will be done, whatever happens.

        Raises OSError where the database is unavailable, and UnavailableError where it does not answer.
        """
        if self._lease is not None:
            self._lease.check()
        with reaching_database():
            self._launch()
        kept = self._starters.submit(_begin, name, serialized)
        if not wait([kept], _ACCEPT_S).done:
            # It may still be kept once the database answers, but its caller is told that it is not.
            self._withdrawn.add(name)
            raise UnavailableError("The job could not be kept: the database does not answer.")
        with reaching_database():
            kept.result()

    def sweep(self, older_than: datetime) -> None:
        """Forget the jobs that ended before `older_than`; DBOS itself remembers every one."""
        while self._launched:
            ended = DBOS.list_workflows(
                status=["SUCCESS", "ERROR"],
                completed_before=older_than.isoformat(),
                limit=_SWEEP,
                load_input=False,
                load_output=False,
            )
            if not ended:
                return
            DBOS.delete_workflows([workflow.workflow_id for workflow in ended])

    def close(self) -> None:
        """Let go of the database; on PostgreSQL the jobs left undone are now another's."""
        if self._recovery is not None:
            self._recovery.close()
        self._starters.shutdown(wait=False, cancel_futures=True)
        if self._launched:
            DBOS.destroy()
            _queues.remove(self)
        if self._lease is not None:
            self._lease.close()

    def run(self, name: str, serialized: SerializedJob) -> None:
        """Do a job, unless its caller was told that it is not kept."""
        if name in self._withdrawn:
            self._withdrawn.discard(name)
            return
        if self._run is None:
            raise RuntimeError("the queue is not started")
        self._run(name, serialized)

    def _launch(self) -> None:
        with self._launching:
            if self._launched:
                return
            _queues.append(self)
            try:
                DBOS(config=self._config())
                DBOS.launch()
            except BaseException:  # the next job tries it anew
                DBOS.destroy()
                _queues.remove(self)
                raise
            self._launched = True
            if self._lease is not None:
                self._recovery = JobRecovery(self._lease)

    def _config(self) -> DBOSConfig:
        common = DBOSConfig(name="retouch", application_version=VERSION, log_level="WARNING")
        if self._lease is None:
            url = f"sqlite:///{self._file and self._file.absolute()}"
            return DBOSConfig(**common, system_database_url=url, executor_id="local")
        return DBOSConfig(
            **common,
            system_database_url=self._lease.url,
            sys_db_pool_size=_POOL,
            executor_id=self._lease.name,
        )


_queues: list[JobQueue] = []
"""Whose the jobs of this process are: DBOS knows workflows by name, not by object."""


@DBOS.workflow(name="edit", max_recovery_attempts=None)
def edit(serialized: dict[str, Any]) -> None:
    """Do one job, given in its JSON form."""
    _queues[-1].run(str(DBOS.workflow_id), serialized)


def _begin(name: str, serialized: Mapping[str, Any]) -> None:
    with SetWorkflowID(name):
        DBOS.start_workflow(edit, dict(serialized))
