"""GET /v2/status/{request_id}: the state of a request, and its result or its error."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from server.dependencies import Dependencies
from server.http.openapi import QUERY_CODES, refused_with
from server.http.rate_limits import RateLimitedRoute
from server.http.scopes import Scope, needs
from server.jobs.outcome import Outcome
from server.v2.envelope import EXAMPLE_REQUEST_ID, STATUS_PATH

router = APIRouter(tags=["version 2"], route_class=RateLimitedRoute)


class StatusError(BaseModel):
    """Why a request failed."""

    code: int = Field(description="An HTTP status.", examples=[422])
    message: str
    details: str


class Status(BaseModel):
    """The state of a request."""

    status: Literal["IN_PROGRESS", "COMPLETED", "ERROR"]
    request_id: str = Field(examples=[EXAMPLE_REQUEST_ID])
    result: dict[str, Any] | None = Field(None, description="What the route of the request makes.")
    error: StatusError | None = None


class UnknownRequest(BaseModel):
    """The answer about a request that does not exist, or belongs to another organisation."""

    status: Literal["NOT_FOUND"]


def status_body(request_id: str, outcome: Outcome) -> dict[str, Any]:
    """Return the state of a request as the status service and webhooks tell it."""
    return {"status": outcome["status"], "request_id": request_id, **outcome}


@router.get(
    STATUS_PATH.removeprefix("/v2") + "{request_id}",
    summary="Ask for the state of a request",
    response_model=None,
    responses={
        200: {"model": Status},
        404: {"model": UnknownRequest, "description": "This organisation has no such request."},
    },
    openapi_extra=refused_with(*(QUERY_CODES - {404, 506})),
)
@needs(Scope.READ)
async def status(request: Request, request_id: str) -> Response:
    """Return the state of a request of the caller's organisation."""
    dependencies: Dependencies = request.app.state.dependencies
    organisation = dependencies.tokens.organisation(request)
    outcome: Outcome | None = await request.app.state.endpoints.find(organisation, request_id)
    if outcome is None:
        return JSONResponse(UnknownRequest(status="NOT_FOUND").model_dump(), 404)
    return JSONResponse(status_body(request_id, outcome))
