"""Jobs that nobody waits for: kept on disk from the moment their links are told until they are done.

Each is a DBOS workflow over the pictures it needs, which are stored first. A process that is killed
finds its unfinished jobs again when it starts, and does them anew onto the same keys.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from server import codec
from server.delivery import failure_key
from server.errors import ApiError, Blocked, Busy, JobFailed, Unavailable, error_body
from server.intake import Encoded
from server.jobs import Job, Workshop
from server.operation import Operation
from storage.objects import ObjectStore, content_type_of

log = logging.getLogger("retouch")

_VERSION = "1"
"""Of the job's form below. Recovery takes up jobs of its own version only: raise it with the form."""
_DEATHS = 5
"""Processes that may end while they work on one job before it is given up."""
_RETRY_S = 600.0
"""How long a job waits, in all, for a store or a model that is not to be had."""
_STOP_S = 20


class _Stopping(BaseException):
    """The process ends with this job undone; no Exception, so that it stays pending."""


class DurableJobs:
    """Accepts jobs and does them in the background; one of it in a process (DBOS has one instance).

    database: the SQLite file of the workflows. sources: where their pictures lie meanwhile.
    limit: jobs undone at once; beyond it Busy.
    """

    def __init__(
        self,
        database: Path,
        operations: Mapping[str, Operation[Any]],
        sources: ObjectStore,
        results: ObjectStore,
        workshop: Workshop,
        threads: ThreadPoolExecutor,
        limit: int,
    ) -> None:
        self._database = database
        self._launching = threading.Lock()
        self._launched = False
        self._operations = operations
        self._sources = sources
        self._results = results
        self._workshop = workshop
        self._threads = threads
        self._limit = limit
        self._undone: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Take up the jobs that an earlier process left undone, where there has been one."""
        if self._database.exists():
            self._launch()

    def _launch(self) -> None:
        """Launch DBOS, once: it takes a second to stop, which a server without jobs is spared."""
        with self._launching:
            if self._launched:
                return
            self._launched = True
            _workers.append(self)
            self._launch_dbos()

    def _launch_dbos(self) -> None:
        DBOS(
            config=DBOSConfig(
                name="retouch",
                system_database_url=f"sqlite:///{self._database.absolute()}",
                executor_id="local",
                application_version=_VERSION,
                log_level="WARNING",
            )
        )
        DBOS.launch()

    def stop(self) -> None:
        """Let jobs end that have begun; the others stay for the next start."""
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _STOP_S
        while self._undone and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._launched:
            DBOS.destroy()
            _workers.remove(self)

    def submit(self, job: Job) -> None:
        """Accept a job: when this returns it is on disk. Raises Busy."""
        name = str(uuid.uuid4())
        with self._lock:
            if len(self._undone) >= self._limit:
                raise Busy(
                    f"{self._limit} jobs are waiting already, the limit; try again in 10 s.",
                    headers={"Retry-After": "10"},
                )
            self._undone.add(name)
        try:
            self._launch()
            form = self._store(name, job)
            with SetWorkflowID(name):
                DBOS.start_workflow(edit, form)
        except BaseException:
            self._undone.discard(name)
            raise

    def _store(self, name: str, job: Job) -> dict[str, Any]:
        """Store a job's pictures and give its form, which is all JSON."""
        sources = {}
        for picture, encoded in job.pictures.items():
            key = f"{name}/{picture}.{codec.EXTENSIONS[encoded.probe.format]}"
            self._sources.put(key, encoded.data, content_type_of(key))
            sources[picture] = {"key": key, "is_mask": encoded.is_mask}
        return {
            "operation": job.operation.path,
            "organisation": job.organisation,
            "body": job.body.model_dump(mode="json"),
            "sources": sources,
            "keys": list(job.keys),
            "visual_id": job.visual_id,
            "sid": job.sid,
            "changed": list(job.changed),
        }

    def _load(self, form: Mapping[str, Any]) -> Job:
        operation = self._operations[form["operation"]]
        pictures = {}
        for picture, source in form["sources"].items():
            data = self._sources.get(source["key"])
            pictures[picture] = Encoded(data, codec.probe(data), source["is_mask"])
        body = operation.body.model_validate(form["body"])
        return Job(
            operation,
            form["organisation"],
            body,
            pictures,
            form["keys"],
            form["visual_id"],
            form["sid"],
            tuple(form["changed"]),
        )

    def do(self, name: str, form: Mapping[str, Any]) -> None:
        """Do a job to its end, whatever that is; raises nothing but _Stopping."""
        self._undone.add(name)
        try:
            self._do_patiently(name, form)
            for source in form["sources"].values():
                self._sources.delete(source["key"])
            self._sources.delete(_note(name))
        finally:
            self._undone.discard(name)

    def _do_patiently(self, name: str, form: Mapping[str, Any]) -> None:
        give_up = time.monotonic() + _RETRY_S
        wait = 0.5
        while True:
            try:
                self._do_once(name, form)
            except (Unavailable, OSError) as error:
                log.warning("a job waits %.1f s: %s", wait, error)
                if time.monotonic() > give_up:
                    self._fail(form, Unavailable.code, str(error))
                    return
                if self._stopping.wait(wait):
                    raise _Stopping from error
                wait = min(2 * wait, 30)
            else:
                return

    def _do_once(self, name: str, form: Mapping[str, Any]) -> None:
        try:
            # Its pictures are read on a worker thread: jobs that wait take no memory for them.
            future = self._threads.submit(self._work, name, form)
        except RuntimeError as error:  # the threads take no more work
            raise _Stopping from error
        try:
            future.result()
        except CancelledError as error:
            raise _Stopping from error
        except Blocked:
            for key in form["keys"]:
                self._results.put(key, b"", content_type_of(key))
        except (Unavailable, OSError):
            raise
        except ApiError as error:
            self._fail(form, error.code, error.text)
        except Exception:
            log.exception("a job failed")
            self._fail(form, 500, "The server failed to do this job; the fault is in its log.")

    def _work(self, name: str, form: Mapping[str, Any]) -> None:
        """Do a job whose results are not there yet; JobFailed when it has ended too many processes.

        Only starts of the work itself are counted: a job may wait through any number of restarts.
        """
        if all(map(self._is_settled, form["keys"])):
            return
        note = _note(name)
        deaths = int(self._sources.get(note)) if self._sources.exists(note) else 0
        if deaths >= _DEATHS:
            raise JobFailed("The server ended each time that it worked on this job.", 500)
        self._sources.put(note, b"%d" % (deaths + 1), "application/json")
        try:
            self._workshop.do(self._load(form))
        finally:
            self._sources.delete(note)

    def _is_settled(self, key: str) -> bool:
        return self._results.exists(key) or self._results.exists(failure_key(key))

    def sweep(self, older_than: datetime) -> None:
        """Forget the jobs that ended before `older_than`; DBOS itself remembers every one."""
        while self._launched:
            ended = DBOS.list_workflows(
                status=["SUCCESS", "ERROR"],
                completed_before=older_than.isoformat(),
                limit=1000,
                load_input=False,
                load_output=False,
            )
            if not ended:
                return
            DBOS.delete_workflows([workflow.workflow_id for workflow in ended])

    def _fail(self, form: Mapping[str, Any], code: int, text: str) -> None:
        """Leave word at each promised link why nothing will ever be there."""
        for key in form["keys"]:
            word = json.dumps(error_body(code, text)).encode()
            self._results.put(failure_key(key), word, "application/json")


def _note(name: str) -> str:
    """Name the place where it is counted how many processes have ended while they worked on a job."""
    return f"{name}/deaths.json"


_workers: list[DurableJobs] = []
"""Who does the jobs of this process: DBOS knows workflows by name, not by object."""


@DBOS.workflow(name="edit", max_recovery_attempts=None)
def edit(form: dict[str, Any]) -> None:
    """Do one job, given in its JSON form."""
    _workers[-1].do(str(DBOS.workflow_id), form)
