"""Durable jobs: accept them, store them in the queue, and run them in the background."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from server.errors import BusyError, busy_error
from server.jobs.job import Job
from server.jobs.outcome import Outcome
from server.jobs.overview import JobsOverview, StateOfJob, UnfinishedJob
from server.jobs.queue import JobQueue
from server.jobs.runner import JobRunner
from server.jobs.serialization import JobSerializer, SerializedJob
from server.jobs.stored_workflows import EDIT, REQUEST
from server.shares import Shares
from server.webhooks.delivery import WEBHOOK, WebhookDelivery
from storage.counts import Counts

_RETRY_AFTER_S = 10.0
"""Expected seconds until a job ends, until the first ones have."""
_MAX_RETRY_AFTER_S = 3600
_KEPT = 0.9
"""How much of the earlier intervals each new one leaves in their mean: about ten count."""


@dataclass(frozen=True)
class _Unfinished:
    """An unfinished job. accepted_at: by the monotonic clock, or when its first process had ended.

    queue_id: by which its caller asks for its place, if this process has accepted it.
    """

    organisation: str
    accepted_at: float
    queue_id: str | None = None


class DurableJobs:
    """Accepts jobs and runs each to its end, also after a restart.

    limit: the most unfinished jobs that this process accepts, shared out among the organisations that
    have some (`server.shares`). quota: returns the most for one organisation; 0 for none. ended: how many
    jobs this process has "completed", and how many "failed".
    """

    def __init__(
        self,
        queue: JobQueue,
        serializer: JobSerializer,
        runner: JobRunner,
        webhooks: WebhookDelivery,
        limit: int,
        quota: Callable[[], int] = lambda: 0,
    ) -> None:
        self._queue = queue
        self._webhooks = webhooks
        self._serializer = serializer
        self._runner = runner
        self._shares = Shares(limit, quota)
        self._quota = quota
        self._unfinished: dict[str, _Unfinished] = {}
        self._interval_s = _RETRY_AFTER_S
        self.ended = Counts()
        self._ended_at = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the queue, and with it the jobs that an earlier process did not finish."""
        self._queue.start(self._run, self._webhooks)

    def submit(self, job: Job, queue_id: str | None = None) -> None:
        """Accept a job; when this returns, the job is stored and will survive a crash.

        queue_id: by which its caller may ask for its place in the queue.
        Raises BusyError, UnavailableError, and OSError if the store or the database is unavailable;
        then nothing of the job remains.
        """
        name = job.request_id
        self._check_quota(job.organisation)
        with self._lock:
            self._check(job.organisation)
            self._add(name, job.organisation, queue_id)
        try:
            serialized = self._serializer.dump(name, job)
            try:
                self._queue.enqueue(name, serialized)
            except BaseException:
                self._serializer.delete_pictures(serialized)
                raise
        except BaseException:
            self._remove(name)
            raise

    def check(self, organisation: str) -> None:
        """Raise BusyError if no further job of an organisation would be accepted now."""
        with self._lock:
            self._check(organisation)

    def _check(self, organisation: str) -> None:
        if not self._shares.has_place(organisation):
            raise self._too_many(self._shares.held(organisation))

    def _check_quota(self, organisation: str) -> None:
        """Raise BusyError if an organisation has its quota of jobs on all servers together; it blocks."""
        quota = self._quota()
        if quota and self._queue.unfinished(organisation, quota) >= quota:
            raise self._too_many(quota)

    def _too_many(self, count: int) -> BusyError:
        """Return the error of an organisation with too many jobs: it may retry when one of them has ended."""
        seconds = math.ceil(self._interval_s * max(1, len(self._shares)))
        return busy_error(
            f"{count} jobs of this organisation are waiting already, as many as it may have at the moment",
            min(max(1, seconds), _MAX_RETRY_AFTER_S),
        )

    def _add(self, name: str, organisation: str, queue_id: str | None = None) -> None:
        """Count a job as unfinished, once."""
        if name not in self._unfinished:
            self._unfinished[name] = _Unfinished(organisation, time.monotonic(), queue_id)
            self._shares.take(organisation)

    def _remove(self, name: str) -> None:
        with self._lock:
            if (job := self._unfinished.pop(name, None)) is not None:
                self._shares.give_back(job.organisation)
                now = time.monotonic()
                interval = now - max(self._ended_at, job.accepted_at)
                self._interval_s += (1 - _KEPT) * (interval - self._interval_s)
                self._ended_at = now

    def stop_accepting(self) -> None:
        """Start no further jobs; they stay in the queue for the next start or another process."""
        self._runner.stop_accepting()

    def stop(self, seconds: float) -> bool:
        """Wait at most `seconds` for the running jobs, interrupt the others and close the queue.

        False if threads of the queue still run, because the database does not answer.
        """
        self.stop_accepting()
        deadline = time.monotonic() + seconds
        while self._unfinished and time.monotonic() < deadline:
            time.sleep(0.02)
        self._runner.interrupt()
        self._webhooks.interrupt()
        return self._queue.close()

    def find(self, organisation: str, request_id: str) -> Outcome | None:
        """Return the outcome of an organisation's request, or IN_PROGRESS; None if it is unknown.

        Raises UnavailableError, and OSError if the database is unavailable.
        """
        return self._queue.find(organisation, request_id)

    def task(self, organisation: str, known_as: str) -> "Future[Any] | None":
        """Return the task of an organisation's unfinished job in this process; None while it has none.

        known_as: its name, or what `submit` got as queue_id. Raises LookupError for any other.
        """
        with self._lock:
            found = [
                name
                for name, job in self._unfinished.items()
                if job.organisation == organisation and known_as in (name, job.queue_id)
            ]
        return self._runner.task(found[-1])

    def accepted(self, organisation: str, request_id: str) -> Job | None:
        """Return the accepted job of an organisation's request, without its pictures; None if there is none.

        Raises UnavailableError, and OSError if the database is unavailable.
        """
        serialized = self._queue.load(organisation, request_id)
        if serialized is None:
            return None
        return replace(self._serializer.load(serialized, pictures=False), request_id=request_id)

    def overview(self) -> JobsOverview:
        """Return the jobs of all organisations, for operators. Raises as `find` does."""
        return self._queue.overview()

    def state_of(self, job: UnfinishedJob) -> StateOfJob:
        """Return where a job that is not finished is."""
        if job.server is None:
            return "queued"
        if job.server != self.server:
            return "elsewhere"
        return "running" if self._runner.is_started(job.request_id) else "waiting"

    @property
    def server(self) -> str:
        """The name of this process in the database of the jobs."""
        return self._queue.server

    def sweep(self, edits_before: datetime, requests_before: datetime) -> None:
        """Remove finished jobs from the queue: edits and requests that finished before these times.

        Webhooks as edits: they tell nothing to anyone after they are sent.
        """
        self._queue.sweep(EDIT, edits_before)
        self._queue.sweep(WEBHOOK, edits_before)
        self._queue.sweep(REQUEST, requests_before)

    def _run(self, name: str, serialized: SerializedJob) -> Outcome:
        with self._lock:
            # One of an earlier process is new to this one.
            self._add(name, serialized["organisation"])
        try:
            outcome = self._runner.run(name, serialized)
            self.ended.add("failed" if outcome["status"] == "ERROR" else "completed")
            return outcome
        finally:
            self._remove(name)
