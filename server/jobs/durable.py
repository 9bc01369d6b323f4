"""Jobs that nobody waits for: accepted, kept until they are done, done in the background."""

import threading
import time
import uuid
from datetime import datetime

from server.errors import busy
from server.jobs.executor import Job
from server.jobs.queue import JobQueue
from server.jobs.runner import JobRunner
from server.jobs.serialization import JobSerializer, SerializedJob

_COME_AGAIN_S = 10


class DurableJobs:
    """Accepts jobs and sees to it that each comes to its end.

    limit: jobs undone at once in this process; beyond it BusyError.
    """

    def __init__(
        self, queue: JobQueue, serializer: JobSerializer, runner: JobRunner, limit: int
    ) -> None:
        self._queue = queue
        self._serializer = serializer
        self._runner = runner
        self._limit = limit
        self._undone: set[str] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Take up the jobs that ended processes left undone."""
        self._queue.start(self._run)

    def submit(self, job: Job) -> None:
        """Accept a job: when this returns it is kept.

        Raises BusyError, UnavailableError, and OSError where the store or the database is unavailable; then
        nothing is left behind.
        """
        name = str(uuid.uuid4())
        with self._lock:
            if len(self._undone) >= self._limit:
                raise busy(f"{self._limit} jobs are waiting already, the limit", _COME_AGAIN_S)
            self._undone.add(name)
        try:
            serialized = self._serializer.dump(name, job)
            try:
                self._queue.keep(name, serialized)
            except BaseException:
                self._serializer.forget(serialized)
                raise
        except BaseException:
            self._undone.discard(name)
            raise

    def stop_accepting(self) -> None:
        """Let jobs end that have begun; the others stay for the next start, or for another process."""
        self._runner.stop_accepting()

    def stop(self, seconds: float) -> None:
        """Wait for the jobs that have begun, so long at most, and leave the others."""
        self.stop_accepting()
        deadline = time.monotonic() + seconds
        while self._undone and time.monotonic() < deadline:
            time.sleep(0.02)
        self._runner.abandon()
        self._queue.close()

    def sweep(self, older_than: datetime) -> None:
        """Forget the jobs that ended before `older_than`."""
        self._queue.sweep(older_than)

    def _run(self, name: str, serialized: SerializedJob) -> None:
        self._undone.add(name)
        try:
            self._runner.run(name, serialized)
        finally:
            self._undone.discard(name)
