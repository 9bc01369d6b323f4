"""Takes up the jobs of processes that have died, where several share one PostgreSQL database."""

import logging
import threading

from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from storage.server_lease import ServerLease

log = logging.getLogger("retouch")

_LOOK_S = 1.0
"""How often it is looked for the dead."""


class JobRecovery:
    """Looks, on a thread of its own, for processes that are gone, and has their jobs done here or by a peer.

    Every process is present in the database by a lock that ends with it (`storage.server_lease`). Whoever
    gets the lock of another knows that it is dead, and while it holds the lock nobody else does the same.
    """

    def __init__(self, lease: ServerLease) -> None:
        """Begin to look."""
        self._lease = lease
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="adoption", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; returns once no adoption is under way."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_S):
            try:
                if self._lease.renew():
                    self._look()
            except (OSError, SQLAlchemyError) as error:
                log.warning("the jobs of processes that died wait for the database: %s", error)

    def _look(self) -> None:
        for name in self._lease.others():
            with self._lease.adopting(name) as is_dead:
                if is_dead:
                    self._adopt(name)

    def _adopt(self, name: str) -> None:
        """Queue a dead process's jobs for whoever lives.

        Listed under its lock: what a peer has adopted before bears another's name by now, or waits in
        the queue, so that nothing is queued twice.
        """
        pending = DBOS.list_workflows(
            status="PENDING", executor_id=name, load_input=False, load_output=False
        )
        for workflow in pending:
            DBOS.resume_workflow(workflow.workflow_id)
        if pending:
            log.warning("took up %d jobs of %s, which has died", len(pending), name)
        self._lease.forget(name)
