"""Recover the jobs of processes that have died, if several share one PostgreSQL database."""

import logging
import threading

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from storage.server_lease import ServerLease

log = logging.getLogger("retouch")

_CHECK_INTERVAL_S = 1.0
"""Seconds between two checks for dead processes."""

_CLOSE_TIMEOUT_S = 5.0


class JobRecovery:
    """Checks on a thread for dead processes and puts their unfinished jobs back into the queue.

    Every process holds a lock in the database, which the database frees when the process ends
    (`storage.server_lease`). A process that acquires the lock of another one knows that the other one
    is dead. While it holds that lock, no third process recovers the same jobs.
    """

    def __init__(self, lease: ServerLease) -> None:
        """Start the thread."""
        self._lease = lease
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="job-recovery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; a recovery that has started is finished first, if the database answers."""
        self._closed.set()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _watch(self) -> None:
        waits = False
        while not self._closed.wait(_CHECK_INTERVAL_S):
            try:
                if self._lease.renew():
                    self._check_servers()
                waits = False
            except (OSError, SQLAlchemyError) as error:
                if not waits:  # one line for each outage
                    log.warning("job recovery is waiting for the database: %s", error)
                waits = True

    def _check_servers(self) -> None:
        for name in self._lease.others():
            with self._lease.lock_if_dead(name) as is_dead:
                if is_dead:
                    self._recover_jobs(name)

    def _recover_jobs(self, name: str) -> None:
        """Put a dead process's jobs back into the queue, from which any live process takes them.

        The caller holds the dead process's lock. A job that another process recovered earlier is
        already in the queue or has that process's name, so no job is queued twice.
        """
        pending = DBOS.list_workflows(
            status="PENDING", executor_id=name, load_input=False, load_output=False
        )
        for workflow in pending:
            # Into its own queue, whose limits hold for it; jobs have none.
            DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
        if pending:
            log.warning("recovered %d jobs of %s, which has died", len(pending), name)
        self._lease.remove(name)
