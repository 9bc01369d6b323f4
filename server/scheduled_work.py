"""Run work on the scheduler for callers who wait for it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import ClientDisconnect, Request

from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, SchedulerClosedError
from models.runtime.queued_task import Priority
from models.runtime.scheduler import Scheduler
from server.cost import Cost
from server.errors import ShuttingDownError
from server.http.admission import ConcurrencyLimit
from server.queue_places import QueuePlaces

R = TypeVar("R")


@dataclass(frozen=True)
class Work(Generic[R]):
    """Work for the scheduler, and what it is expected to cost."""

    function: Callable[[], R]
    organisation: str
    cost: Cost
    priority: Priority = Priority.CALL


class ScheduledWork:
    """Runs work for callers. limit: learns how long it took. timeout_s: of work without a deadline.

    places: know the work while it waits and runs.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        limit: ConcurrencyLimit,
        timeout_s: float,
        places: QueuePlaces,
    ) -> None:
        self._scheduler = scheduler
        self._places = places
        self._limit = limit
        self._timeout_s = timeout_s

    async def run(self, request: Request, work: Work[R], deadline: Deadline | None = None) -> R:
        """Run work on the scheduler and record its duration.

        If the caller disconnects, work that waits is cancelled and running work stops at its next
        step. Otherwise callers who time out and retry would fill the queue. Raises ClientDisconnect,
        and ShuttingDownError if the process shuts down before the work is finished.
        """
        deadline = deadline or Deadline(self._timeout_s)

        def timed() -> R:
            start = time.monotonic()
            try:
                with deadline_scope(deadline):
                    return work.function()
            finally:
                seconds = time.monotonic() - start
                loop.call_soon_threadsafe(record, work.organisation, work.cost.seconds, seconds)

        loop, record = asyncio.get_running_loop(), self._limit.record
        try:
            future = self._scheduler.submit(
                timed, work.priority, work.organisation, work.cost.seconds, work.cost.memory
            )
        except SchedulerClosedError as error:
            raise ShuttingDownError from error

        def cancel_work(_: object) -> None:
            deadline.cancel()
            future.cancel()

        disconnected = asyncio.create_task(_wait_for_disconnect(request))
        disconnected.add_done_callback(cancel_work)
        try:
            with self._places.noted(work.organisation, request, future):
                return await asyncio.wrap_future(future)
        except CallerDisconnectedError:
            raise ClientDisconnect from None
        except SchedulerClosedError as error:  # a check called a model after the scheduler closed
            raise ShuttingDownError from error
        except asyncio.CancelledError:
            if disconnected.done():
                raise ClientDisconnect from None
            raise ShuttingDownError from None
        finally:
            disconnected.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the caller disconnects; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
