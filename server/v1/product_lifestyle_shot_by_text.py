"""POST /v1/product/lifestyle_shot_by_text: put a product into a scene or on a colour that a text describes."""

from collections.abc import Mapping

from pydantic import Field

from models.roles import MATTING, PROMPT_REFINEMENT, SCENE_GENERATION, Models, require
from pipelines.background_replace import Scene
from pipelines.common.colours import find_colour
from pipelines.common.subject import has_product_cut_out, subject_roles
from server.errors import BadRequestError
from server.http.uploads import Encoded
from server.operation import Inputs, Operation, Preserve, Results
from server.v1.product_fields import PRODUCT_IMAGE
from server.v1.product_lifestyle_fields import (
    MAX_TEXT,
    REFUSALS,
    LifestyleBody,
    check_geometry,
    longest_side,
    respond,
    shots,
)
from server.v1.seeded_results import SeededShots


class LifestyleByTextBody(LifestyleBody):
    """The fields of lifestyle_shot_by_text."""

    scene_description: str = Field(
        "", max_length=MAX_TEXT, description="The new scene, or a colour.", examples=["#c8d8e8"]
    )
    prompt: str = Field(
        "",
        max_length=MAX_TEXT,
        description="Another name of scene_description, for a request without one.",
    )
    optimize_description: bool = Field(
        True, description="Refine the description with a language model."
    )


def check(body: LifestyleByTextBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a request without a description, and what `check_geometry` refuses."""
    if not (body.scene_description.strip() or body.prompt.strip()):
        raise BadRequestError("scene_description is required.", "scene_description")
    check_geometry(body, pictures)


def prepare(body: LifestyleByTextBody, _: Inputs, models: Models) -> LifestyleByTextBody:
    """Return the body with its prompt as scene_description.

    Refuse a scene if the profile has no model to generate it; a plain colour needs no model.
    """
    description = body.scene_description if body.scene_description.strip() else body.prompt
    if find_colour(description) is None:
        require(models, SCENE_GENERATION)
    return body.model_copy(update={"scene_description": description})


def perform(body: LifestyleByTextBody, inputs: Inputs, models: Models) -> Results:
    """Return the product on a plain colour (the same result for each seed), or in a scene for each seed."""
    scene = Scene(
        body.scene_description,
        body.exclude_elements,
        fast=body.is_fast,
        refine=body.optimize_description,
    )
    return shots(body, inputs, models, find_colour(body.scene_description) or scene)


OPERATION = Operation(
    path="/product/lifestyle_shot_by_text",
    summary="Put a product into a scene that a text describes",
    body=LifestyleByTextBody,
    pictures=(PRODUCT_IMAGE,),
    preserves=Preserve.PIXELS,
    check=check,
    prepare=prepare,
    needs=lambda models: (MATTING,),
    without={
        SCENE_GENERATION: "scene_description takes colours only",
        PROMPT_REFINEMENT: "descriptions are not optimized",
    },
    roles=lambda body, inputs, models: subject_roles(
        inputs.image, body.force_rmbg, has_product_cut_out
    ),
    perform=perform,
    count=lambda body: body.places * body.num_results,
    longest_side=longest_side,
    refusals=REFUSALS,
    response=SeededShots,
    respond=respond,
)
