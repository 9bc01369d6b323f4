"""POST /v2/image/edit/replace_background: put the subject on another background."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field

from models.roles import MATTING, PROMPT_REFINEMENT, SCENE_GENERATION, Models, require
from pipelines.background_replace import (
    Mode,
    Scene,
    background_colour,
    background_scene,
    mode_is_fast,
)
from pipelines.common.colours import find_colour
from pipelines.common.subject import subject_roles
from server.errors import BadRequestError
from server.http.uploads import REFERENCE, Encoded, Intake
from server.listed_pictures import gather_listed, listed, numbered, one_or_many
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.shared_fields import ABOUT_MODE
from server.v2.fields import (
    REFINED_PROMPT,
    V2_LIMITED_IMAGE,
    Prompt,
    PromptBody,
    SeedResult,
    in_v2,
    refuse_invisible,
)

MAX_REFERENCES = 8
"""The largest number of reference pictures in a request; together they may be as large as a body."""
_FIELD = "ref_images"


class ReplaceBackgroundBody(PromptBody):
    """The fields of replace_background."""

    mode: Mode = Field("high_control", description=ABOUT_MODE)
    prompt: Prompt = Field("", description="The new scene, or a colour.", examples=["#c8d8e8"])
    # The pictures are stored beside the body, so a stored job has no second copy in it.
    ref_images: Annotated[tuple[str, ...], BeforeValidator(listed), one_or_many(MAX_REFERENCES)] = (
        Field(
            (),
            max_length=MAX_REFERENCES,
            exclude=True,
            description="Reference pictures instead of a prompt: addresses, or files in base64, one or a list."
            " All are checked, and the first is used.",
        )
    )
    enhance_ref_images: bool = Field(
        True, description="Crop the reference picture and adjust its contrast."
    )
    refine_prompt: bool = Field(True, description="Refine the prompt with a language model.")
    original_quality: bool = Field(
        False, description="Keep the picture's size; otherwise about one megapixel."
    )
    force_background_detection: bool = Field(
        False,
        description="Ignore an alpha channel: detect the foreground in the colours alone, hidden ones included.",
    )


class ReplaceBackgroundResult(SeedResult):
    """The result of replace_background."""

    refined_prompt: str | None = REFINED_PROMPT


async def gather(body: ReplaceBackgroundBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the first reference picture, after a check of all of them.

    Raises TooLargeError if they are too large together.
    """
    sent = numbered(_FIELD, body.ref_images)
    pictures = await gather_listed(sent, _FIELD, partial(in_v2, REFERENCE), intake)
    return {REFERENCE.name: pictures[0]} if pictures else {}


def check(body: ReplaceBackgroundBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse neither or both of prompt and reference pictures."""
    if bool(body.prompt) == (REFERENCE.name in pictures):
        raise BadRequestError(f"Send either prompt or {_FIELD}, and not both.", "prompt")


def prepare(body: ReplaceBackgroundBody, inputs: Inputs, models: Models) -> ReplaceBackgroundBody:
    """Refuse a scene if the profile has no model to generate it; a plain colour needs no model."""
    if find_colour(body.prompt) is None:
        require(models, SCENE_GENERATION)
    refuse_invisible(body, inputs, models)
    return body


def perform(body: ReplaceBackgroundBody, inputs: Inputs, models: Models) -> Results:
    """Return the subject on a plain colour, or in a scene, and the refined prompt."""
    options = (body.original_quality, body.force_background_detection)
    colour = find_colour(body.prompt)
    if colour is not None:
        picture = background_colour(inputs.image, models, colour, *options)
        return Results([picture], {"refined_prompt": None})
    scene = Scene(
        body.prompt,
        body.negative_prompt,
        inputs.pictures.get(REFERENCE.name),
        mode_is_fast(body.mode),
        body.refine_prompt,
        body.enhance_ref_images,
    )
    made = background_scene(inputs.image, models, scene, [body.seed], *options)
    return Results(made.pictures, {"refined_prompt": made.refined_prompt})


def respond(body: ReplaceBackgroundBody, delivered: Delivered) -> ReplaceBackgroundResult:
    """Return the result with its seed and the refined prompt."""
    return ReplaceBackgroundResult(
        image_url=str(delivered.links[0]),
        seed=body.seed,
        refined_prompt=delivered.details["refined_prompt"],
    )


OPERATION = Operation(
    path="/image/edit/replace_background",
    summary="Replace the background",
    body=ReplaceBackgroundBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    prepare=prepare,
    needs=lambda models: (MATTING,),
    without={
        SCENE_GENERATION: "prompt takes colours only, and no reference picture",
        PROMPT_REFINEMENT: "prompts are not refined",
    },
    roles=lambda body, inputs, models: subject_roles(inputs.image, body.force_background_detection),
    perform=perform,
    response=ReplaceBackgroundResult,
    respond=respond,
    has_details=True,
    version="v2",
)
