"""Recover jobs that no process works on, if several processes share one PostgreSQL database."""

import logging
import threading
import time

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from server.jobs.running import running
from storage.server_lease import ServerLease

log = logging.getLogger("retouch")

_CHECK_INTERVAL_S = 1.0
"""Seconds between two checks for dead processes."""
_IDLE_INTERVAL_S = 60.0
"""Seconds between two checks for jobs that no process works on."""

_CLOSE_TIMEOUT_S = 5.0


class JobRecovery:
    """Checks on a thread for dead processes and puts their unfinished jobs back into the queue.

    Every process holds a lock in the database, which the database frees when the process ends
    (`storage.server_lease`). A process that acquires the lock of another one knows that the other one
    is dead. While it holds that lock, no third process recovers the same jobs.

    Two kinds of jobs escape that. DBOS takes a job out of the queue by one transaction. If its connection
    breaks before the answer, a live process has a job that it does not know of. And if the process is killed
    meanwhile, the database may end the transaction when its jobs have been recovered already. So a job that
    this process has and does not run, or that a process has which is gone, is put back into the queue, if two
    checks in a row find it so.
    """

    def __init__(self, lease: ServerLease) -> None:
        """Start the thread."""
        self._lease = lease
        self._closed = threading.Event()
        self._idle: set[str] = set()
        self._idle_checked = time.monotonic()
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
                if time.monotonic() - self._idle_checked > _IDLE_INTERVAL_S:
                    self._check_idle()
                waits = False
            except (OSError, SQLAlchemyError) as error:
                if not waits:  # one line for each outage
                    log.warning("job recovery is waiting for the database: %s", error)
                waits = True
            except Exception:  # without this thread nobody recovers jobs
                if not waits:
                    log.exception("job recovery failed and is tried again")
                waits = True

    def _check_servers(self) -> None:
        for name in self._lease.others():
            with self._lease.lock_if_dead(name) as is_dead:
                if is_dead:
                    self._recover_jobs(name)

    def _check_idle(self) -> None:
        """Put the jobs back into the queue that nobody works on now nor did at the last check.

        One that is about to start or to end is idle for a moment. If it is put back although it runs, it
        runs twice with the same result, and DBOS keeps one outcome.
        """
        self._idle_checked = time.monotonic()
        # The pending ones first: a server is in the table before it has any.
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        others = set(self._lease.others())
        idle = {
            one.workflow_id: one
            for one in pending
            if one.workflow_id not in running
            and (one.executor_id == self._lease.name or one.executor_id not in others)
        }
        lost = [one for name, one in idle.items() if name in self._idle]
        for workflow in lost:
            DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)
        if lost:
            log.warning("recovered %d jobs that no process worked on", len(lost))
        self._idle = idle.keys() - {one.workflow_id for one in lost}

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
