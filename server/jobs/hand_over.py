"""Store the results of finished work; while the store does not answer, they wait in memory."""

import asyncio

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from models.deadline import Deadline
from server.errors import NotStoredError, ShuttingDownError
from server.jobs.executor import JobExecutor
from server.jobs.job import FinishedWork, JobOutcome
from storage.breaker import Availability

_POLL_S = 0.25


async def hand_over(
    executor: JobExecutor,
    work: FinishedWork,
    availability: Availability,
    request: Request,
    deadline: Deadline,
) -> JobOutcome:
    """Store finished work for a caller who waits for it, and return its outcome.

    While the store or the database does not answer, the work waits for it: in memory, without a worker
    and without a thread, until the deadline. Then raises NotStoredError; and UnavailableError if storing
    fails for another reason, ClientDisconnect, ShuttingDownError.
    """
    try:
        while True:
            try:
                return await anyio.to_thread.run_sync(executor.store, work)
            except NotStoredError:
                await _wait(availability, request, deadline)
                if deadline.remaining() == 0:
                    raise
    except asyncio.CancelledError:
        raise ShuttingDownError from None


async def _wait(availability: Availability, request: Request, deadline: Deadline) -> None:
    """Wait until everything answers, and a moment at least, but not beyond the deadline."""
    while True:
        if await request.is_disconnected():
            raise ClientDisconnect
        await asyncio.sleep(_POLL_S)
        if not availability.reasons or deadline.remaining() == 0:
            return
