"""POST /v1/register and /v1/upload: store a picture under a visual_id."""

from dataclasses import replace
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from server.cost import decoding
from server.dependencies import Dependencies
from server.endpoints import Endpoints
from server.errors import BadRequestError, NotInProfileError
from server.http.fields import read_fields, validate
from server.http.openapi import EXAMPLE_VISUAL_ID, UPLOAD_CODES, refused_with
from server.http.openapi_bodies import picture_body
from server.http.processor_time import run_in_thread
from server.http.rate_limits import RateLimitedRoute
from server.http.scopes import Scope, needs
from server.http.uploads import IMAGE

router = APIRouter(tags=["visuals"], route_class=RateLimitedRoute)

NEW, KNOWN = 200, 208
_BY_KEY = replace(IMAGE, url_fields=("org_image_key",), file_fields=())
"""The rule of a picture in the organisation's own storage."""


class RegisterBody(BaseModel):
    """The fields of register without its picture."""

    is_private: bool = Field(False, description="Stored with the visual.")
    org_image_key: str | None = Field(
        None, max_length=1024, description="Key of a picture in the organisation's own storage."
    )


class Registered(BaseModel):
    """The answer of register."""

    code: int = Field(description="200 for a new picture, 208 for one that already exists.")
    description: str
    visual_id: str = Field(examples=[EXAMPLE_VISUAL_ID])


_OPENAPI = {
    "requestBody": picture_body(RegisterBody, (IMAGE,)),
    **refused_with(*UPLOAD_CODES),
}
"""What the OpenAPI document says of both routes."""


@router.post(
    "/register",
    name="register",
    summary="Register a picture",
    response_model=Registered,
    openapi_extra=_OPENAPI,
)
@router.post(
    "/upload",
    name="upload",
    summary="Upload a picture",
    response_model=Registered,
    openapi_extra=_OPENAPI,
)
@needs(Scope.EDIT)
async def register(request: Request) -> Registered:
    """Store a picture; the same picture of an organisation always has the same visual_id."""
    dependencies: Dependencies = request.app.state.dependencies
    endpoints: Endpoints = request.app.state.endpoints
    organisation = dependencies.tokens.organisation(request)
    await dependencies.concurrency_limit.check(organisation)
    await run_in_thread(dependencies.storage.check_disk)
    fields = await read_fields(request, dependencies.settings.max_body_mb * 2**20)
    body = validate(RegisterBody, fields)
    rule = IMAGE
    if body.org_image_key is not None:
        template = dependencies.settings.org_image_url
        fields, rule = {"org_image_key": _address(body.org_image_key, template)}, _BY_KEY
    picture = await dependencies.intake.for_organisation(organisation).picture(fields, rule)
    if picture is None:
        raise BadRequestError("No image was given: send image_url or file.", "image")
    seconds = decoding({"image": picture}).seconds
    async with dependencies.concurrency_limit.place(organisation, seconds, len(picture.data)):
        await endpoints.check_picture(request, organisation, picture)
        visual_id, is_new = await run_in_thread(
            dependencies.visuals.register, organisation, picture, body.is_private
        )
    code, description = (NEW, "SUCCESS") if is_new else (KNOWN, "ALREADY_REGISTERED")
    return Registered(code=code, description=description, visual_id=visual_id)


def _address(key: str, template: str | None) -> str:
    """Return the address of the organisation's picture; raises NotInProfileError without a template."""
    if template is None:
        raise NotInProfileError(
            "org_image_key needs RETOUCH_ORG_IMAGE_URL, which is not set here.", "org_image_key"
        )
    return template.replace("{key}", quote(key))
