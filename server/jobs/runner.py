"""How a kept job is done: patiently where a store or a model is away, never more often than it should be."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager
from functools import partial

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, SchedulerClosedError
from models.runtime.scheduler import Priority, Scheduler
from server.errors import (
    ApiError,
    BlockedError,
    BusyError,
    JobFailedError,
    JobInterruptedError,
    RequestTimeoutError,
    UnavailableError,
)
from server.jobs.executor import JobExecutor
from server.jobs.serialization import JobSerializer, SerializedJob
from storage.object_store import ObjectStore, Refusal, content_type_of

log = logging.getLogger("retouch")

_MOST_CRASHES = 5
"""Processes that may end while they work on one job before it is given up."""
_RETRY_S = 600.0
"""How long a job waits, in all, for a store or a model that is unavailable."""
_LOOK_S = 0.2
"""How often a waiting job looks whether the process is out of time."""


class JobRunner:
    """Does jobs on the scheduler, each to one of its three ends: results, no bytes, or a refusal.

    timeout_s: for one try at a job, from when work on it begins.
    """

    def __init__(
        self,
        serializer: JobSerializer,
        results: ObjectStore,
        executor: JobExecutor,
        scheduler: Scheduler,
        timeout_s: float,
    ) -> None:
        self._serializer = serializer
        self._results = results
        self._executor = executor
        self._scheduler = scheduler
        self._timeout_s = timeout_s
        self._crash_counts: dict[str, int] = {}
        self._deadlines: set[Deadline] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._over = threading.Event()

    def stop_accepting(self) -> None:
        """Let jobs go on that have begun; the others raise JobInterruptedError."""
        self._stopping.set()
        self._scheduler.stop_accepting_jobs()

    def abandon(self) -> None:
        """Let every job raise JobInterruptedError that is still at work."""
        self.stop_accepting()
        self._over.set()
        with self._lock:
            for deadline in self._deadlines:
                deadline.cancel()

    def run(self, name: str, serialized: SerializedJob) -> None:
        """Do a job to its end, whatever that is; raises nothing but JobInterruptedError."""
        try:
            self._patiently(name, serialized)
            self._serializer.forget(serialized)
        finally:
            self._crash_counts.pop(name, None)

    def _patiently(self, name: str, serialized: SerializedJob) -> None:
        give_up = time.monotonic() + _RETRY_S
        pause = 0.5
        while True:
            try:
                self._once(name, serialized)
            except (BusyError, UnavailableError, OSError) as error:
                log.warning("a job waits %.1f s: %s", pause, error)
                if time.monotonic() > give_up and self._gave_up(serialized, str(error)):
                    return
                if self._stopping.wait(pause):
                    raise JobInterruptedError from error
                pause = min(2 * pause, 30)
            else:
                return

    def _gave_up(self, serialized: SerializedJob, text: str) -> bool:
        """Tell the job's links that nothing comes of it, if the store lets us."""
        try:
            self._refuse(serialized, UnavailableError.code, text)
        except OSError:
            return False
        return True

    def _once(self, name: str, serialized: SerializedJob) -> None:
        try:
            self._on_scheduler(name, serialized)
        except CallerDisconnectedError as error:
            raise JobInterruptedError from error
        except BlockedError:
            for key in serialized["keys"]:
                self._results.put(key, b"", content_type_of(key))
        except RequestTimeoutError as error:
            self._refuse(serialized, error.code, error.text)
        except (BusyError, UnavailableError, OSError):
            raise
        except ApiError as error:
            self._refuse(serialized, error.code, error.text)
        except Exception:
            log.exception("a job failed")
            text = "The server failed to do this job; the fault is in its log."
            self._refuse(serialized, 500, text)

    def _on_scheduler(self, name: str, serialized: SerializedJob) -> None:
        """Work on a job once, on the scheduler; what it needs is read there, not while it waits."""
        try:
            future = self._scheduler.submit(partial(self._work, name, serialized), Priority.JOB)
        except SchedulerClosedError as error:
            raise JobInterruptedError from error
        while not wait([future], _LOOK_S).done:
            if self._over.is_set():
                raise JobInterruptedError
        try:
            future.result()
        except CancelledError as error:
            raise JobInterruptedError from error

    def _work(self, name: str, serialized: SerializedJob) -> None:
        """Do a job whose results are not there yet; JobFailedError when it has ended too many processes."""
        if all(map(self._results.is_settled, serialized["keys"])):
            self._executor.remember(self._serializer.load(serialized, pictures=False))
            return
        with self._deadline() as deadline, self._counting_crashes(name), deadline_scope(deadline):
            self._executor.run(self._serializer.load(serialized))

    @contextmanager
    def _deadline(self) -> Iterator[Deadline]:
        deadline = Deadline(self._timeout_s)
        with self._lock:
            self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            with self._lock:
                self._deadlines.discard(deadline)

    @contextmanager
    def _counting_crashes(self, name: str) -> Iterator[None]:
        """Have it known, should this process end within, that it did so at work on this job.

        Only starts of the work itself are counted, once for each process: a job may wait through any
        number of restarts, and be tried any number of times.
        """
        if name not in self._crash_counts:
            self._crash_counts[name] = self._serializer.crash_count(name)
        if self._crash_counts[name] >= _MOST_CRASHES:
            self._serializer.forget_crash_count(name)
            raise JobFailedError("The server ended each time that it worked on this job.", 500)
        self._serializer.write_crash_count(name, self._crash_counts[name] + 1)
        try:
            yield
        finally:
            self._serializer.forget_crash_count(name)

    def _refuse(self, serialized: SerializedJob, code: int, text: str) -> None:
        """Write the error to every result key."""
        for key in serialized["keys"]:
            self._results.refuse(key, Refusal(code, text))
