"""The startup, the periodic tasks and the shutdown of the application."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from models.deadline import Deadline, deadline_scope
from models.errors import EngineLostError, EngineUnavailableError, WorkCancelledError
from server.context import AppContext, WarmModels
from server.http.health import Readiness
from server.http.shutdown import Shutdown
from server.jobs.serialization import MAX_JOB_AGE
from server.memory_budget import MemoryBudget
from server.settings import Settings

log = logging.getLogger("retouch")

_ENGINE_RETRY_S = 5.0
_CLOSE_RESERVE_S = 2.0
"""Part of the grace period that is reserved for closing files and connections."""
_DISK_INTERVAL_S = 1.0
"""Seconds between two looks at the free space of the disk."""


@contextlib.asynccontextmanager
async def lifespan(
    settings: Settings,
    models: WarmModels,
    context: AppContext,
    readiness: Readiness,
    shutdown: Shutdown,
) -> AsyncIterator[None]:
    """Start the parts of the application, and stop them within the grace period."""
    context.availability.start()
    loading = Deadline()
    shutdown.on_begin(loading.cancel)
    tasks = [
        *await _begin_jobs(context),
        asyncio.create_task(_warm_up(models, readiness, context.memory, loading, shutdown)),
        asyncio.create_task(_sweep(settings, context)),
        asyncio.create_task(_watch_disk(context)),
        asyncio.create_task(context.others.run(context.dependencies.concurrency_limit.in_work)),
    ]
    shutdown.on_begin(context.availability.hurry)
    shutdown.on_begin(context.durable.stop_accepting)
    shutdown.on_deadline_near(context.scheduler.stop_accepting)
    yield
    loading.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    is_queue_closed = await anyio.to_thread.run_sync(
        context.durable.stop, max(1.0, shutdown.remaining() - _CLOSE_RESERVE_S)
    )
    # Interrupted work stops at its next step, which takes some models several seconds.
    close_timeout = max(0.0, shutdown.remaining() - _CLOSE_RESERVE_S / 2)
    try:
        is_closed = await anyio.to_thread.run_sync(context.close, close_timeout)
        shutdown.unfinished = not (is_closed and is_queue_closed)
    finally:
        await context.dependencies.intake.aclose()
        await anyio.to_thread.run_sync(context.storage.close)
        context.disconnect(is_queue_closed=is_queue_closed)


async def _warm_up(
    models: WarmModels,
    readiness: Readiness,
    memory: MemoryBudget,
    deadline: Deadline,
    shutdown: Shutdown,
) -> None:
    """Load the models; retry while the engine is unavailable. deadline: is cancelled by a shutdown.

    If this process cannot have its engine, the server ends.
    """

    def warm_up() -> None:
        with deadline_scope(deadline):
            models.warm_up()

    while True:
        try:
            await anyio.to_thread.run_sync(warm_up)
        except WorkCancelledError:
            log.info("the loading of the models was interrupted")
            return
        except EngineLostError as error:
            log.critical("shutting down: %s", error)
            readiness.error = str(error)
            shutdown.failed = True
            return
        except EngineUnavailableError as error:
            log.warning("loading the models waits for the engine: %s", error)
            readiness.error = str(error)
            await asyncio.sleep(_ENGINE_RETRY_S)
        except Exception as error:
            log.exception("the models could not be loaded")
            readiness.error = str(error)
            return
        else:
            memory.follow_process()
            readiness.complete("models")
            log.info("the models are loaded: ready")
            return


async def _begin_jobs(context: AppContext) -> list[asyncio.Task[None]]:
    """Start the queue of jobs; on a full disk return a task that waits for space to take up the last jobs."""
    if context.storage.has_room_for_jobs:
        await anyio.to_thread.run_sync(context.durable.start)
        return []
    log.error("the jobs of the last process wait for space on the disk")
    return [asyncio.create_task(_start_jobs(context))]


async def _start_jobs(context: AppContext) -> None:
    """Start the queue of jobs when there is space on the disk."""
    while True:
        await asyncio.sleep(_DISK_INTERVAL_S)
        if context.storage.has_room_for_jobs:
            await anyio.to_thread.run_sync(context.durable.start)
            return


async def _watch_disk(context: AppContext) -> None:
    """Hold the reserve of the disk, and give it up when the disk is full."""
    while True:
        await anyio.to_thread.run_sync(context.storage.watch)
        await asyncio.sleep(_DISK_INTERVAL_S)


def _remove_expired(settings: Settings, context: AppContext) -> int:
    """Remove expired results, sessions, finished jobs and the pictures of lost jobs; return how many results."""
    # A result is stored before its link is signed: one minute more than the link's lifetime, so
    # that the result does not expire before its link.
    oldest = datetime.now(UTC) - timedelta(seconds=settings.link_ttl_s + 60)
    removed = context.stores.results.sweep(oldest)
    context.stores.sources.sweep(oldest - MAX_JOB_AGE)
    try:
        _remove_expired_rows(settings, context, oldest)
    except (OSError, SQLAlchemyError):
        with context.storage.room():
            _remove_expired_rows(settings, context, oldest)
    return removed


def _remove_expired_rows(settings: Settings, context: AppContext, oldest: datetime) -> None:
    """Remove the rows of what has expired. oldest: of results."""
    context.visuals.sweep(oldest)
    context.idempotency.sweep()
    context.storage.sweep()
    context.remove_results_of_revoked()
    context.rate_limits.sweep()
    if context.requests_in_work is not None:
        context.requests_in_work.sweep()
    told = datetime.now(UTC) - timedelta(seconds=settings.status_ttl_s)
    context.durable.sweep(oldest, min(oldest, told))


async def _sweep(settings: Settings, context: AppContext) -> None:
    """Remove what has expired, periodically."""
    while True:
        try:
            removed = await anyio.to_thread.run_sync(_remove_expired, settings, context)
        except OSError as error:
            log.error("the sweep of expired results failed; it is retried later: %s", error)
        except SQLAlchemyError:
            log.exception("the sweep of expired results failed; it is retried later")
        else:
            if removed:
                log.info("the sweep removed %d expired results", removed)
        await asyncio.sleep(settings.sweep_interval_s)
