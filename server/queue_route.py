"""GET /queue/{queue_id}: how many tasks would start before a request that waits."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from server.dependencies import Dependencies
from server.endpoints import Endpoints
from server.errors import NotFoundError
from server.http.openapi import refused_with
from server.http.rate_limits import QUEUE_ROUTE, RateLimitedRoute
from server.http.scopes import Scope, needs
from server.queue_places import HEADER

router = APIRouter(tags=["health"], route_class=RateLimitedRoute)


class QueuePlace(BaseModel):
    """Where a request is."""

    state: Literal["waiting", "running"]
    before: int | None = Field(
        description="How many tasks of this server would start before it if no further ones came; null if"
        " it runs, or if that is not known.",
        examples=[3],
    )


@router.get(
    QUEUE_ROUTE,
    summary="Ask for the place of a request in the queue",
    response_model=QueuePlace,
    description=f"An extension of this server. queue_id: what you have sent as the header {HEADER} with the"
    " request, 16 to 64 letters, digits, hyphens or underscores; or the request_id of an accepted request of"
    " version 2. Only this server is asked, and only for requests of your organisation: 404 for every other.",
    openapi_extra=refused_with(401, 403, 404, 429),
)
@needs(Scope.READ)
async def queue_place(request: Request, queue_id: str) -> QueuePlace:
    """Return where a request of the caller's organisation is."""
    dependencies: Dependencies = request.app.state.dependencies
    organisation = dependencies.tokens.organisation(request)
    endpoints: Endpoints = request.app.state.endpoints
    place = endpoints.places.find(organisation, queue_id)
    if place is None:
        raise NotFoundError("No request of this organisation with this id is in work here.")
    return QueuePlace(state=place.state, before=place.before)
