"""The threads that work on requests and jobs: callers who wait go first, jobs never starve."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")

_IN_A_ROW = 4
"""Pieces of work that callers wait for, done in a row while a job waits; then one job is done."""


class NoWorkersError(RuntimeError):
    """The threads take no more work of this kind: the process ends."""


class Workers:
    """A fixed number of threads with two queues."""

    def __init__(self, count: int) -> None:
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._in_a_row = 0
        self._takes_calls = self._takes_jobs = True
        self.count = count
        # Daemons: a process whose time is over does not wait for what they are at.
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], R], *, job: bool = False) -> "Future[R]":
        """Have a piece of work done; job: nobody waits for it. Raises NoWorkersError."""
        future: Future[R] = Future()
        with self._changed:
            if not (self._takes_jobs if job else self._takes_calls):
                raise NoWorkersError("the server is ending")
            (self._jobs if job else self._calls).append((future, work))
            self._changed.notify()
        return future

    def stop_accepting_jobs(self) -> None:
        """Drop the jobs that have not begun, and take none any more; their futures are cancelled."""
        with self._changed:
            self._takes_jobs = False
            dropped = [future for future, _ in self._jobs]
            self._jobs.clear()
        for future in dropped:
            _cancel(future)

    def stop_accepting_anything(self) -> None:
        """Drop all that has not begun, and take nothing any more; the threads end."""
        self.stop_accepting_jobs()
        with self._changed:
            self._takes_calls = False
            dropped = [future for future, _ in self._calls]
            self._calls.clear()
            self._changed.notify_all()
        for future in dropped:
            _cancel(future)

    def end(self, timeout_s: float) -> bool:
        """Begin nothing, and wait for what is at work; False where it takes longer than `timeout_s`."""
        self.stop_accepting_anything()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _next(self) -> "tuple[Future[Any], Callable[[], Any]] | None":
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._jobs or not self._takes_calls)
            if self._calls and not (self._jobs and self._in_a_row >= _IN_A_ROW):
                self._in_a_row += 1
                return self._calls.popleft()
            self._in_a_row = 0
            return self._jobs.popleft() if self._jobs else None

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            future, work = piece
            if future.set_running_or_notify_cancel():
                try:
                    result = work()
                except BaseException as error:  # whoever waits for the future raises it
                    future.set_exception(error)
                else:
                    future.set_result(result)
            # Not held while waiting for the next: it may hold a picture.
            del piece, future, work
            result = None


def _cancel(future: "Future[Any]") -> None:
    """Cancel a future that no thread will ever look at, and let whoever waits for it know."""
    if future.cancel():
        future.set_running_or_notify_cancel()
