"""Run the jobs of the queue: retries if a store or a model is unavailable, and a limit on crashes."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, SchedulerClosedError
from models.runtime.queued_task import Priority
from models.runtime.scheduler import Scheduler
from server.errors import (
    ApiError,
    BlockedError,
    BusyError,
    JobFailedError,
    JobInterruptedError,
    RequestTimeoutError,
    UnavailableError,
)
from server.http.error_answers import status_word
from server.http.results import Delivery
from server.jobs.executor import JobExecutor
from server.jobs.job import FinishedWork, Job, JobOutcome
from server.jobs.outcome import Outcome, completed, failed, failed_with
from server.jobs.serialization import JobSerializer, SerializedJob
from server.operation import Delivered
from server.storage_limits import StorageLimits
from storage.breaker import Availability
from storage.object_store import ObjectStore, Refusal

log = logging.getLogger("retouch")

_MAX_CRASHES = 5
"""A job fails after this many processes have crashed while they worked on it."""
_FIRST_DELAY_S = 0.5
"""Seconds before the first retry of a job; each later wait is twice as long, 30 s at most."""
_MAX_RETRY_S = 600.0
"""Sum of the pauses, in seconds, after which a job whose store or model is unavailable is given up."""


class JobRunner:
    """Runs jobs on the scheduler until each has results, blocked (empty) results, or an error.

    delivery: signs the links of results. timeout_s: for one attempt at a job, from the moment it starts
    to run. limits: whether the end of a job can be written. availability: whether the store and the
    database answer; by default they do.
    """

    def __init__(
        self,
        serializer: JobSerializer,
        results: ObjectStore,
        executor: JobExecutor,
        scheduler: Scheduler,
        delivery: Delivery,
        timeout_s: float,
        limits: StorageLimits,
        availability: Availability | None = None,
    ) -> None:
        self._delivery = delivery
        self._serializer = serializer
        self._results = results
        self._executor = executor
        self._scheduler = scheduler
        self._timeout_s = timeout_s
        self._availability = availability or Availability()
        self._limits = limits
        self._crash_counts: dict[str, int] = {}
        self._finished: dict[str, FinishedWork] = {}
        self._deadlines: set[Deadline] = set()
        self._tasks: dict[str, Future[Outcome | FinishedWork]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._interrupted: Future[None] = Future()

    def is_started(self, name: str) -> bool:
        """Whether a worker has begun a job that is not finished."""
        return name in self._crash_counts

    def stop_accepting(self) -> None:
        """Start no further jobs: those that do not run yet raise JobInterruptedError."""
        self._stopping.set()
        self._scheduler.stop_accepting_jobs()

    def interrupt(self) -> None:
        """Interrupt the running jobs too: they raise JobInterruptedError."""
        self.stop_accepting()
        with self._lock:
            if not self._interrupted.done():
                self._interrupted.set_result(None)
            for deadline in self._deadlines:
                deadline.cancel()

    def task(self, name: str) -> "Future[Outcome | FinishedWork] | None":
        """Return the task of a job; None before it has one, and while it waits for a retry."""
        return self._tasks.get(name)

    def run(self, name: str, serialized: SerializedJob) -> Outcome:
        """Run a job until it succeeds or fails; only raises JobInterruptedError."""
        try:
            outcome = self._run_with_retries(name, serialized)
            # Before the pictures go: a process that ends while it waits leaves a job that can run again.
            self._wait_for_room()
            self._serializer.delete_pictures(serialized)
        except JobInterruptedError:
            log.info("the job is interrupted, and stays in the queue")
            raise
        finally:
            self._crash_counts.pop(name, None)
            self._finished.pop(name, None)
            self._tasks.pop(name, None)
        log.info("the job has ended: %s", _told(outcome))
        return outcome

    def _wait_for_room(self) -> None:
        """Wait while the disk has no room for the outcome, which the queue writes once; else it would be lost."""
        while not self._limits.try_to_make_room():
            if self._stopping.wait(1):
                raise JobInterruptedError

    def _run_with_retries(self, name: str, serialized: SerializedJob) -> Outcome:
        waited = 0.0
        delay = _FIRST_DELAY_S
        while True:
            try:
                return self._try_once(name, serialized)
            except (BusyError, UnavailableError, OSError) as error:
                if self._availability.reasons:
                    delay = _FIRST_DELAY_S
                log.warning("a job is retried in %.1f s: %s", delay, error)
                # The reason of an OSError is only for the log.
                text = error.text if isinstance(error, ApiError) else "The store is unavailable."
                self._tasks.pop(name, None)
                if waited > _MAX_RETRY_S:
                    with suppress(OSError):  # the store is unavailable: the job is retried
                        return self._refuse(serialized, UnavailableError(text))
                # Neither the wait for a worker counts, nor that for a service that is known to be away.
                waited += delay
                self._wait_for_retry(delay)
                delay = min(2 * delay, 30)

    def _wait_for_retry(self, delay: float) -> None:
        """Wait for some seconds, and until the store and the database answer; raises JobInterruptedError."""
        until = time.monotonic() + delay
        while time.monotonic() < until or self._availability.reasons:
            if self._stopping.wait(min(delay, _FIRST_DELAY_S)):
                raise JobInterruptedError

    def _try_once(self, name: str, serialized: SerializedJob) -> Outcome:
        try:
            return self._finish(name, serialized)
        except CallerDisconnectedError as error:
            raise JobInterruptedError from error
        except RequestTimeoutError as error:
            return self._refuse(serialized, error)
        except (BusyError, UnavailableError, OSError):
            raise
        except ApiError as error:
            return self._refuse(serialized, error)
        except Exception:
            log.exception("a job failed")
            text = "The server failed to do this job; the error is in its log."
            return self._refuse(serialized, JobFailedError(text, 500))

    def _finish(self, name: str, serialized: SerializedJob) -> Outcome:
        """Do the work of a job, unless an earlier attempt did, and store its results without a worker."""
        work = self._finished.get(name) or self._run_on_scheduler(name, serialized)
        if not isinstance(work, FinishedWork):
            return work
        self._finished[name] = work
        return self._completed(work.job, self._executor.store(work))

    def _run_on_scheduler(self, name: str, serialized: SerializedJob) -> Outcome | FinishedWork:
        """Run a job once on the scheduler; its pictures are only loaded when it starts to run."""
        try:
            future = self._scheduler.submit(
                partial(self._work, name, serialized),
                Priority.JOB,
                serialized["organisation"],
                # Jobs of release 0.2 and earlier have neither.
                serialized.get("seconds", 0.0),
                serialized.get("memory", 0),
            )
        except SchedulerClosedError as error:
            raise JobInterruptedError from error
        self._tasks[name] = future
        # Without a look at intervals: hundreds of jobs may wait, each on a thread.
        either: list[Future[Any]] = [future, self._interrupted]
        wait(either, return_when=FIRST_COMPLETED)
        if not future.done():
            raise JobInterruptedError
        try:
            return future.result()
        except CancelledError as error:
            raise JobInterruptedError from error
        finally:
            if name in self._crash_counts:
                self._serializer.delete_crash_count(name)

    def _work(self, name: str, serialized: SerializedJob) -> Outcome | FinishedWork:
        """Execute a job unless it is settled; raises JobFailedError if it crashed too many processes."""
        if (settled := self._settled(serialized)) is not None:
            # Of a process that was killed between the last result and the end of the count.
            self._serializer.delete_crash_count(name)
            return settled
        self._count_crash(name)
        log.info("the job begins: %s", serialized["operation"])
        with self._track_deadline() as deadline, deadline_scope(deadline):
            job = self._serializer.load(serialized)
            try:
                return self._executor.perform(job)
            except BlockedError as error:
                self._executor.store_blocked(job)
                return failed_with(error)

    def _settled(self, serialized: SerializedJob) -> Outcome | None:
        """Return the outcome of a job whose process ended after it was settled; None if it must run.

        A job whose answer tells more than its results do runs once more, with the same results.
        """
        keys = serialized["keys"]
        refusals = [self._results.refusal(key) for key in keys]
        if refusals[0] is not None and all(refusals):
            return failed(refusals[0].code, refusals[0].text)
        if not all(map(self._results.is_settled, keys)):
            return None
        job = self._serializer.load(serialized, pictures=False)
        stored = self._executor.finish_stored(job)
        if all(stored.blocked):
            return failed(BlockedError.code, "Content moderation refused the request.")
        return None if job.operation.has_details else self._completed(job, stored)

    def _completed(self, job: Job, outcome: JobOutcome) -> Outcome:
        """Return the outcome of a job with results, as its caller is told it."""
        links = job.links or [self._delivery.sign(job.base_url, key) for key in outcome.keys]
        shown = [
            None if blocked else link for link, blocked in zip(links, outcome.blocked, strict=True)
        ]
        delivered = Delivered(shown, outcome.keys, job.sid, outcome.unsafe, outcome.details)
        answer = job.operation.respond(outcome.body, delivered)
        return completed(answer.model_dump(mode="json", by_alias=True))

    @contextmanager
    def _track_deadline(self) -> Iterator[Deadline]:
        deadline = Deadline(self._timeout_s)
        with self._lock:
            self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            with self._lock:
                self._deadlines.discard(deadline)

    def _count_crash(self, name: str) -> None:
        """Count a crash of this process against the job if the process ends before the work does.

        `_run_on_scheduler` deletes the count when the work has ended, without a worker.
        Each process counts at most once. Restarts while the job waits in the queue and further
        attempts do not count.
        """
        if name not in self._crash_counts:
            self._crash_counts[name] = self._serializer.crash_count(name)
        if self._crash_counts[name] >= _MAX_CRASHES:
            raise JobFailedError("The server crashed each time it worked on this job.", 500)
        self._serializer.write_crash_count(name, self._crash_counts[name] + 1)

    def _refuse(self, serialized: SerializedJob, error: ApiError) -> Outcome:
        """Write the error to every result key; nothing if the job's visual was removed."""
        keys = serialized["keys"]
        visual = (serialized["organisation"], serialized["visual_id"])
        if self._executor.record_refusal(*visual, keys):
            status = error.status or status_word(error.code)
            for key in keys:
                self._results.refuse(key, Refusal(error.code, error.text, status, error.parameter))
        return failed_with(error)


def _told(outcome: Outcome) -> str:
    """Return the state of an outcome for the log, without the text of an error, which may be a caller's."""
    error = outcome.get("error")
    return str(outcome["status"]) if error is None else f"{outcome['status']} {error['code']}"
