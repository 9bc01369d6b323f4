"""POST /v1/{visual_id}/remove_image: remove a visual and everything made from it."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from server.dependencies import Dependencies
from server.http.openapi import VISUAL_CODES, refused_with
from server.http.processor_time import run_in_thread
from server.http.rate_limits import RateLimitedRoute
from server.http.scopes import Scope, needs

router = APIRouter(tags=["visuals"], route_class=RateLimitedRoute)


class Removed(BaseModel):
    """The answer of remove_image."""

    code: int = 200
    description: str = "SUCCESS"
    visual_id: str


@router.post(
    "/{visual_id}/remove_image",
    summary="Remove a visual",
    response_model=Removed,
    openapi_extra=refused_with(*VISUAL_CODES),
)
@needs(Scope.EDIT)
async def remove_image(request: Request, visual_id: str) -> Removed:
    """Remove a visual: its picture, its masks, its sids, and every result made from it.

    The links of these results answer 404 afterwards. Requests for the visual that still run store
    nothing. A picture that another organisation registered stays.
    """
    dependencies: Dependencies = request.app.state.dependencies
    organisation = dependencies.tokens.organisation(request)
    visual = await run_in_thread(dependencies.visuals.find, organisation, visual_id)
    await run_in_thread(dependencies.visuals.remove, visual)
    return Removed(visual_id=visual_id)
