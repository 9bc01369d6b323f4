"""The application: every part made once, wired together, started and stopped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import anyio.to_thread
from fastapi import FastAPI, Request
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.cors import CORSMiddleware

from models.base import Models
from server import delivery, errors, health, openapi
from server.auth import Tokens
from server.delivery import Delivery
from server.desk import Desk
from server.durable import DurableJobs
from server.gate import Gate
from server.health import Readiness
from server.intake import Intake
from server.jobs import Workshop
from server.middleware import BoundedBody, LastResort, TidyPath
from server.operation import Inquiry, Operation
from server.reception import Reception
from server.settings import Settings
from server.v1 import INQUIRIES, OPERATIONS, ROUTERS
from server.visuals import Visuals
from storage.links import LinkSigner, load_or_create_secret
from storage.local import LocalObjects
from storage.objects import ObjectStore
from storage.records import Records

log = logging.getLogger("retouch")

_LONGEST_JOB = timedelta(days=7)
"""How long an accepted job may wait with its pictures, a server that is down included."""


class WarmModels(Models, Protocol):
    """Models that can be loaded ahead of the first request."""

    def warm_up(self) -> None:
        """Load each model and run it once."""
        ...


def create_app(settings: Settings, models: WarmModels) -> FastAPI:
    """Make the server's application; nothing is read from the environment here."""
    data = settings.data_dir
    results = LocalObjects(data / "results")
    sources = LocalObjects(data / "sources")
    records = Records(f"sqlite:///{data.absolute()}/records.db")
    visuals = Visuals(records, LocalObjects(data / "visuals"), results)
    signer = LinkSigner(load_or_create_secret(data / "link-secret"))
    reception = Reception(
        settings,
        Tokens(settings.api_tokens),
        Gate(settings.max_waiting, settings.workers),
        Intake(settings),
        visuals,
        Delivery(results, signer, settings.public_url, settings.link_ttl_s),
    )
    workshop = Workshop(models, results, visuals, settings.moderation_threshold)
    threads = ThreadPoolExecutor(settings.workers, "worker")
    operations = {operation.path: operation for operation in OPERATIONS}
    durable = DurableJobs(
        data / "jobs.db", operations, sources, results, workshop, threads, settings.max_undone
    )
    desk = Desk(reception, workshop, durable, threads)
    readiness = Readiness({"models"})

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(durable.start)
        tasks = [
            asyncio.create_task(_warm_up(models, readiness)),
            asyncio.create_task(_sweep(settings, results, sources, visuals, durable)),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await anyio.to_thread.run_sync(durable.stop)
        await reception.intake.aclose()
        records.close()

    app = FastAPI(
        title="Retouch",
        summary="A self-hosted server for Bria's v1 Image Editing API.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,  # its page loads scripts from a CDN, which a closed network has not
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.readiness = readiness
    app.state.reception = reception
    for router in ROUTERS:
        app.include_router(router, prefix="/v1")
    for operation in OPERATIONS:
        _add_operation(app, operation, desk)
    for inquiry in INQUIRIES:
        _add_inquiry(app, inquiry, desk)
    app.include_router(delivery.router)
    app.include_router(health.router)
    errors.install(app)
    openapi.install(app, OPERATIONS)
    _add_middleware(app, settings)
    return app


def _add_operation(app: FastAPI, operation: Operation[Any], desk: Desk) -> None:
    async def endpoint(request: Request) -> BaseModel:
        return await desk.serve(operation, request)

    of_visual = "_of_visual" if operation.of_visual else ""
    app.add_api_route(
        f"/v1{operation.path}",
        endpoint,
        methods=[operation.method],
        name=operation.name,
        operation_id=operation.name + of_visual,
        summary=operation.summary,
        response_model=operation.response,
        tags=["visuals" if operation.of_visual else "editing"],
    )


def _add_inquiry(app: FastAPI, inquiry: Inquiry, desk: Desk) -> None:
    async def endpoint(request: Request, visual_id: str) -> Any:
        return await desk.tell(inquiry, request, visual_id)

    app.add_api_route(
        f"/v1{inquiry.path}",
        endpoint,
        methods=["GET"],
        name=inquiry.name,
        summary=inquiry.summary,
        responses={200: {"model": inquiry.response}},
        tags=["visuals"],
    )


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Innermost first: CORS comes last, so that refusals and faults carry its headers too."""
    app.add_middleware(
        BoundedBody, max_bytes=settings.max_body_mb * 2**20, timeout_s=settings.body_timeout_s
    )
    app.add_middleware(TidyPath)
    app.add_middleware(LastResort)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=["Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Retry-After"],
        max_age=86400,
    )


async def _warm_up(models: WarmModels, readiness: Readiness) -> None:
    try:
        await anyio.to_thread.run_sync(models.warm_up)
    except Exception as error:
        log.exception("the models did not start")
        readiness.fault = str(error)
    else:
        readiness.awaited.discard("models")
        log.info("the models are loaded: ready")


async def _sweep(
    settings: Settings,
    results: ObjectStore,
    sources: ObjectStore,
    visuals: Visuals,
    durable: DurableJobs,
) -> None:
    """Remove what has expired, again and again: results, their names, pictures of dead jobs."""
    while True:
        # A result is stored before its link is signed, so a minute more never cuts a link short.
        life = timedelta(seconds=settings.link_ttl_s + 60)
        oldest = datetime.now(UTC) - life
        try:
            removed = await anyio.to_thread.run_sync(results.sweep, oldest)
            await anyio.to_thread.run_sync(sources.sweep, oldest - _LONGEST_JOB)
            await anyio.to_thread.run_sync(visuals.sweep, oldest)
            await anyio.to_thread.run_sync(durable.sweep, oldest)
        except (OSError, SQLAlchemyError):
            log.exception("what has expired could not be swept; trying again later")
        else:
            if removed:
                log.info("swept %d expired results", removed)
        await asyncio.sleep(settings.sweep_interval_s)
