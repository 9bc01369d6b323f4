"""POST /v1/product/lifestyle_shot_by_image: put a product into a scene like that of a reference picture."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from models.roles import MATTING, SCENE_GENERATION, Models
from pipelines.background_replace import Scene
from pipelines.common.subject import has_product_cut_out, subject_roles
from server.errors import BadRequestError
from server.http.uploads import REFERENCE, Encoded, Intake, PictureRule
from server.listed_pictures import (
    gather_listed,
    listed,
    numbered,
    one_or_many,
    parsed_list,
)
from server.operation import Inputs, Operation, Preserve, Results
from server.v1.product_fields import PRODUCT_IMAGE
from server.v1.product_lifestyle_fields import (
    REFUSALS,
    LifestyleBody,
    check_geometry,
    longest_side,
    respond,
    shots,
)
from server.v1.seeded_results import SeededShots

MAX_REFERENCES = 8
"""The largest number of reference pictures in a request."""
_URLS = "ref_image_urls"
_REFERENCE = replace(REFERENCE, is_limited=True)


def _addresses(value: Any) -> Any:
    """Return one address as a list of one, and a list, which a form sends as JSON, without blank items."""
    return listed(parsed_list(value))


class LifestyleByImageBody(LifestyleBody):
    """The fields of lifestyle_shot_by_image."""

    # The pictures are stored beside the body, so a stored job has no second copy in it.
    ref_image_urls: Annotated[
        tuple[str, ...], BeforeValidator(_addresses), one_or_many(MAX_REFERENCES)
    ] = Field(
        (),
        max_length=MAX_REFERENCES,
        exclude=True,
        description="Addresses of reference pictures, one or a list; a data: URL works too. All are checked, and"
        " the first is used. They come before ref_image_file.",
    )
    enhance_ref_image: bool = Field(
        True, description="Crop the reference picture and adjust its contrast."
    )
    ref_image_influence: float = Field(
        1.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="How much the scene resembles the reference picture: 0 not at all. A model that reads no"
        " pictures gets a caption of it, if the influence is above 0.",
    )


def _rule(name: str) -> PictureRule:
    """Return the rule for a reference picture that a field of this name holds."""
    return replace(_REFERENCE, url_fields=(name,), file_fields=())


async def gather(body: LifestyleByImageBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the first reference picture of ref_image_urls, after a check of all of them."""
    pictures = await gather_listed(numbered(_URLS, body.ref_image_urls), _URLS, _rule, intake)
    return {REFERENCE.name: pictures[0]} if pictures else {}


def check(body: LifestyleByImageBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a request without a reference picture, and what `check_geometry` refuses."""
    if REFERENCE.name not in pictures:
        raise BadRequestError(f"Send {_URLS} or ref_image_file.", _URLS)
    check_geometry(body, pictures)


def perform(body: LifestyleByImageBody, inputs: Inputs, models: Models) -> Results:
    """Return the product in a scene for each seed."""
    scene = Scene(
        "",
        body.exclude_elements,
        inputs.pictures[REFERENCE.name],
        fast=body.is_fast,
        enhance=body.enhance_ref_image,
        influence=body.ref_image_influence,
    )
    return shots(body, inputs, models, scene)


OPERATION = Operation(
    path="/product/lifestyle_shot_by_image",
    summary="Put a product into a scene like that of a reference picture",
    body=LifestyleByImageBody,
    pictures=(PRODUCT_IMAGE, _REFERENCE),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    needs=lambda models: (MATTING, SCENE_GENERATION),
    roles=lambda body, inputs, models: (
        *subject_roles(inputs.image, body.force_rmbg, has_product_cut_out),
        SCENE_GENERATION,
    ),
    perform=perform,
    count=lambda body: body.places * body.num_results,
    longest_side=longest_side,
    refusals=REFUSALS,
    response=SeededShots,
    respond=respond,
)
