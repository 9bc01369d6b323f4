"""POST /v2/image/edit/replace_background: put the subject on another background."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from models.roles import MATTING, PROMPT_REFINEMENT, SCENE_GENERATION, Models, require
from pipelines.background_replace import Scene, background_colour, background_scene
from pipelines.common.colours import find_colour
from pipelines.common.subject import subject_roles
from server.errors import BadRequestError, TooLargeError
from server.http.fields import is_absent
from server.http.uploads import REFERENCE, Encoded, Intake
from server.operation import Delivered, Inputs, Operation, Preserve, Results
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
_ONE_OR_MANY = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "maxItems": MAX_REFERENCES},
    ]
}


def _listed(value: Any) -> Any:
    """Return one picture as a list of one, and a list without its blank items."""
    values = value if isinstance(value, list | tuple) else [value]
    return [item for item in values if not is_absent(item)]


class ReplaceBackgroundBody(PromptBody):
    """The fields of replace_background."""

    mode: Literal["base", "high_control", "fast"] = Field(
        "high_control",
        description="fast: faster, with slightly lower quality, and without negative_prompt. The other two"
        " give the same result: there is one model for both.",
    )
    prompt: Prompt = Field("", description="The new scene, or a colour.", examples=["#c8d8e8"])
    # The pictures are stored beside the body, so a stored job has no second copy in it.
    ref_images: Annotated[
        tuple[str, ...], BeforeValidator(_listed), WithJsonSchema(_ONE_OR_MANY)
    ] = Field(
        (),
        max_length=MAX_REFERENCES,
        exclude=True,
        description="Reference pictures instead of a prompt: addresses, or files in base64, one or a list."
        " All are checked, and the first is used.",
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
    first: Encoded | None = None
    size = 0
    for index, sent in enumerate(body.ref_images):
        name = _FIELD if len(body.ref_images) == 1 else f"{_FIELD}.{index}"
        reference = await intake.picture({name: sent}, in_v2(REFERENCE, name))
        if reference is None:
            continue
        size += len(reference.data)
        if size > intake.max_bytes:
            raise TooLargeError(
                f"{_FIELD} are together larger than {intake.max_bytes // 2**20} MiB.", _FIELD
            )
        first = first or reference
    return {} if first is None else {REFERENCE.name: first}


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
        body.mode == "fast",
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
