"""The FastAPI application: routes, middleware, startup, shutdown and the periodic sweep."""

import contextlib
import functools
import importlib.metadata
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response
from starlette.routing import BaseRoute

from models.processors import usable_processors
from models.stages import observing
from models.start_progress import StartProgress
from server import v1, v2
from server.admin.page import admin_router
from server.admin.report import AdminReport
from server.capabilities import CapabilitiesReport, capabilities_router
from server.context import AppContext, WarmModels, build_context
from server.endpoints import Endpoints
from server.errors import UnavailableError
from server.http import (
    audit,
    error_answers,
    health,
    openapi,
    request_id,
    result_files,
    results,
)
from server.http.accept import HEADER, answers_json
from server.http.audit import Audit
from server.http.auth import ResolveToken, Tokens
from server.http.body_arrivals import BodyArrivals
from server.http.bounded_body import BoundedBody
from server.http.compressed_body import DecompressBody
from server.http.cors import BrowserCors
from server.http.health import Readiness
from server.http.idempotency import REPLAYED
from server.http.middleware import NormalizePath, UnhandledErrors
from server.http.openapi_document import document_router
from server.http.processor_time import ShareProcessor
from server.http.rate_limits import FIELD, POLICY_FIELD, RateLimitedRoute, RateLimits
from server.http.refusals import Refusals
from server.http.scopes import Scope, needs
from server.http.shutdown import Shutdown
from server.lifecycle import lifespan
from server.metrics.page import metrics_router
from server.metrics.report import MetricsReport
from server.metrics.requests import CountRequests
from server.operation import Operation, VisualQuery
from server.operations import OPERATIONS
from server.playground.page import playground_router
from server.playground.waiting_page import waiting_page_router
from server.processor_shares import ProcessorShares
from server.queue_route import router as queue_router
from server.reference.page import reference_router
from server.settings import Settings
from storage.bucket import Bucket

log = logging.getLogger("retouch")

_TAGS = {
    "editing": "Version 1: a picture in, the result's address out.",
    "visuals": "Version 1: registered pictures, their objects and people, and edits one after another.",
    "version 2": "Version 2: a request is accepted with an id, and its state has the result.",
    "results": "The files behind the addresses of results.",
    "health": "What the server can do, and whether it is ready.",
}
"""The groups of routes in the OpenAPI document."""
_JSON_ONLY = [Depends(answers_json)]
"""Of the routes that answer nothing but JSON."""
_MIN_BODIES = 16
_BODIES_OF_FULL_SIZE = 24
"""The bodies that arrive at once may have as many bytes as so many of the largest ones."""


def create_app(
    settings: Settings,
    models: WarmModels,
    shutdown: Shutdown | None = None,
    progress: StartProgress | None = None,
) -> FastAPI:
    """Return the server's application; it reads nothing from the environment.

    shutdown: that of the process which serves it. progress: of the models, which tell it. Raises OSError
    without a store or a database.
    """
    shutdown = shutdown or Shutdown(settings.drain_s, settings.grace_s)
    context = build_context(settings, models)
    readiness = Readiness(shutdown, {"models"}, context.availability)
    readiness.is_disk_full = lambda: context.storage.is_short
    readiness.progress = progress or readiness.progress

    @contextlib.asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        with observing(metrics.stages):
            async with lifespan(settings, models, context, readiness, shutdown):
                yield

    app = FastAPI(
        title="Retouch",
        summary="A self-hosted server for Bria's Image Editing API, v1 and v2.",
        version=importlib.metadata.version("retouch"),
        lifespan=run,
        redirect_slashes=False,
        openapi_url=None,  # `document_router` sends it compressed, and makes it once
        docs_url=None,  # FastAPI's page loads scripts from elsewhere; `reference_router` has one of its own
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    app.state.readiness = readiness
    app.state.models = models
    _set_state(app, context)
    app.router.route_class = RateLimitedRoute
    _add_routes(app)
    app.include_router(_capabilities(settings, models, context), dependencies=_JSON_ONLY)
    app.include_router(reference_router(context.dependencies.tokens))
    refusals = Refusals()
    app.state.admin = AdminReport(settings, context, readiness, refusals)
    app.include_router(admin_router(context.dependencies.tokens, app.state.admin))
    metrics = MetricsReport(settings, context, readiness, app.state.admin)
    app.include_router(metrics_router(context.dependencies.tokens, metrics))
    if settings.playground:
        app.include_router(playground_router(_store_origin(settings)))
    error_answers.install(app)
    openapi.install(app, OPERATIONS, settings.address)
    app.include_router(document_router())
    _warn_of_unknown_routes(app, context.rate_limits)
    _add_middleware(app, settings, context.dependencies.tokens, refusals)
    app.add_middleware(CountRequests, metrics=metrics.requests)
    return app


def _capabilities(settings: Settings, models: WarmModels, context: AppContext) -> APIRouter:
    """Return the route of what the server can do."""
    report = CapabilitiesReport(
        settings.profile,
        models,
        context.durations,
        OPERATIONS,
        v1.VISUAL_QUERIES,
        v1.ROUTERS,
        context.storage,
    )
    return capabilities_router(report, context.dependencies.tokens)


def _store_origin(settings: Settings) -> str | None:
    """Return where the links of results lead, if not to this server."""
    store = settings.store_address
    return store.public_origin if isinstance(store, Bucket) else None


def create_waiting_app(
    settings: Settings, shutdown: Shutdown, progress: StartProgress | None = None
) -> FastAPI:
    """Return the application that answers while the weights are fetched: health, and 503 to all else.

    progress: of the fetch.
    """
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    readiness = app.state.readiness = Readiness(shutdown, {"weights"})
    readiness.progress = progress or readiness.progress
    app.include_router(health.router)
    if settings.playground:
        app.include_router(waiting_page_router(lambda: readiness.reason))

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    async def wait(path: str) -> None:
        raise UnavailableError(f"The server is starting: {readiness.reason}; try again.")

    error_answers.install(app)
    _add_middleware(app, settings)
    return app


def _set_state(app: FastAPI, context: AppContext) -> None:
    """Give routes the parts that they use."""
    app.state.dependencies = context.dependencies
    app.state.endpoints = context.endpoints
    app.state.idempotency = context.idempotency
    app.state.rate_limits = context.rate_limits


def _add_routes(app: FastAPI) -> None:
    for router in v1.ROUTERS:
        app.include_router(router, prefix="/v1", dependencies=_JSON_ONLY)
    app.router.routes.extend(_editing_routes())
    for router in v2.ROUTERS:
        app.include_router(router, prefix="/v2", dependencies=_JSON_ONLY)
    app.include_router(queue_router)
    app.include_router(results.router)
    app.include_router(health.router)


@functools.cache
def _editing_routes() -> Sequence[BaseRoute]:
    """Return the routes of operations and queries, which find what they need in the application that they serve.

    They are made once: the models of their answers take longer than the rest of an application.
    """
    router = APIRouter(
        route_class=RateLimitedRoute,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    for operation in OPERATIONS:
        _add_operation(router, operation)
    for query in v1.VISUAL_QUERIES:
        _add_query(router, query)
    return tuple(router.routes)


def _operation_id(route: APIRoute) -> str:
    """Return the id of a route in the OpenAPI document, unless it has an own one."""
    return route.name


def _add_operation(router: APIRouter, operation: Operation[Any]) -> None:
    @needs(Scope.EDIT)
    async def endpoint(request: Request, response: Response) -> BaseModel | Response:
        endpoints: Endpoints = request.app.state.endpoints
        answer = await endpoints.serve(operation, request)
        told = answer if isinstance(answer, Response) else response
        told.headers["Vary"] = HEADER
        return answer

    of_visual = "_of_visual" if operation.of_visual else ""
    router.add_api_route(
        operation.url,
        endpoint,
        methods=[operation.method],
        name=operation.name,
        operation_id=operation.name + of_visual,
        summary=operation.summary,
        tags=[_tag(operation)],
        **_responses(operation),
    )


def _tag(operation: Operation[Any]) -> str:
    if operation.version == "v2":
        return "version 2"
    return "visuals" if operation.of_visual else "editing"


def _responses(operation: Operation[Any]) -> dict[str, Any]:
    """Return what FastAPI is told about the answers of an operation; those of v2 have an envelope."""
    if operation.version == "v1":
        return {"response_model": operation.response}
    code = 202 if operation.is_always_asynchronous else 200
    return {"response_model": None, "status_code": code, "responses": v2.responses(operation)}


def _add_query(router: APIRouter, query: VisualQuery) -> None:
    @needs(Scope.READ)
    async def endpoint(request: Request, visual_id: str) -> Any:
        endpoints: Endpoints = request.app.state.endpoints
        return await endpoints.query(query, request, visual_id)

    router.add_api_route(
        f"/v1{query.path}",
        endpoint,
        methods=["GET"],
        name=query.name,
        summary=query.summary,
        responses={200: {"model": query.response}},
        dependencies=_JSON_ONLY,
        openapi_extra=openapi.refused_with(*openapi.QUERY_CODES),
        tags=["visuals"],
    )


def _add_middleware(
    app: FastAPI,
    settings: Settings,
    tokens: Tokens | None = None,
    refusals: Refusals | None = None,
) -> None:
    """Add the middleware, innermost first; CORS is last but one, so that error responses have its headers.

    tokens: None for an application without routes that need one. refusals: are told what was refused.
    """
    max_bytes = settings.max_body_mb * 2**20
    app.add_middleware(DecompressBody, max_bytes=max_bytes)
    app.add_middleware(ShareProcessor, shares=ProcessorShares(usable_processors()))
    arrivals = BodyArrivals(
        max(_MIN_BODIES, 2 * settings.max_waiting), _BODIES_OF_FULL_SIZE * max_bytes
    )
    app.add_middleware(
        BoundedBody, max_bytes=max_bytes, timeout_s=settings.body_timeout_s, arrivals=arrivals
    )
    if tokens is not None:
        app.add_middleware(ResolveToken, tokens=tokens)
    app.add_middleware(UnhandledErrors)
    app.add_middleware(NormalizePath)
    app.add_middleware(
        BrowserCors,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=[
            "Accept-Ranges",
            "Content-Length",
            "Content-Range",
            "ETag",
            FIELD,
            POLICY_FIELD,
            REPLAYED,
            "Retry-After",
            request_id.HEADER,
            *result_files.HEADERS,
        ],
        max_age=86400,
    )
    app.add_middleware(Audit, refusals=refusals, is_logged=settings.audit_log != audit.OFF)


def _warn_of_unknown_routes(app: FastAPI, rate_limits: RateLimits) -> None:
    """Log a warning for each route of the setting RATE_LIMITS that is none."""
    for path in rate_limits.quotas.routes:
        if path not in app.openapi()["paths"]:
            log.warning("settings: RETOUCH_RATE_LIMITS has a limit for %s, which is no route", path)
