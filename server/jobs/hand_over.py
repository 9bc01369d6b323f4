"""Store the results of finished work; while the store does not answer, they wait in memory."""

import asyncio
import time

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from models.deadline import Deadline
from server.errors import NotStoredError, ShuttingDownError
from server.jobs.executor import JobExecutor
from server.jobs.job import FinishedWork, JobOutcome
from storage.breaker import Availability

_POLL_S = 0.25
_LONGEST_WAIT_S = 30.0
"""Seconds for which finished work waits for a service that is away: it holds its memory and a connection."""
_LAST_WAIT_S = 3.0
"""The same while the server shuts down."""


async def hand_over(
    executor: JobExecutor,
    work: FinishedWork,
    availability: Availability,
    request: Request,
    deadline: Deadline,
) -> JobOutcome:
    """Store finished work for a caller who waits for it, and return its outcome.

    While the store or the database does not answer, the work waits for it: in memory, without a worker
    and without a thread, for 30 s at most, and not beyond the deadline. Then raises NotStoredError; and
    UnavailableError if storing fails for another reason, ClientDisconnect, ShuttingDownError.
    """
    away_since: float | None = None
    try:
        while True:
            try:
                return await anyio.to_thread.run_sync(executor.store, work)
            except NotStoredError:
                if away_since is None:
                    away_since = time.monotonic()
                if not await _wait(availability, request, deadline, away_since):
                    raise
    except asyncio.CancelledError:
        raise ShuttingDownError from None


async def _wait(
    availability: Availability, request: Request, deadline: Deadline, away_since: float
) -> bool:
    """Wait until everything answers, and a moment at least; False when the work may wait no longer."""
    while deadline.remaining() != 0:
        if await request.is_disconnected():
            raise ClientDisconnect
        longest = _LAST_WAIT_S if availability.is_ending else _LONGEST_WAIT_S
        if time.monotonic() - away_since >= longest:
            return False
        await asyncio.sleep(_POLL_S)
        if not availability.reasons:
            return True
    return False
