"""GET /metrics: the metrics of this server for Prometheus."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.http.auth import Tokens
from server.http.readers import reader
from server.http.scopes import Scope, needs
from server.metrics.report import MetricsReport

METRICS_PATH = "/metrics"


def metrics_router(tokens: Tokens, report: MetricsReport) -> APIRouter:
    """Return the route. tokens: what knows who may read it (`server.http.readers`)."""
    router = APIRouter(include_in_schema=False)

    @router.get(METRICS_PATH)
    @needs(Scope.ADMIN)
    async def metrics(request: Request) -> Response:
        reader(request, tokens)
        text, media_type = await report.text(request.headers.get("accept", ""))
        return Response(text, media_type=media_type, headers={"Cache-Control": "no-store"})

    return router
