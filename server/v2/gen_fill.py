"""POST /v2/image/edit/gen_fill: generate an object from a prompt in the area that a mask marks."""

from typing import Annotated

from pydantic import Field

from models.roles import GENERATIVE_FILL, PROMPT_REFINEMENT, Models
from pipelines.common.opacity import with_alpha
from pipelines.gen_fill import gen_fill, gen_fill_refined
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.shared_fields import MaskType, check_mask
from server.v2.fields import (
    REFINED_PROMPT,
    V2_IMAGE,
    V2_MASK,
    Prompt,
    PromptBody,
    SeedResult,
    V2AlphaBody,
)


class GenFillBody(PromptBody, V2AlphaBody):
    """The fields of gen_fill."""

    mask_type: MaskType = Field(
        "manual",
        description="Whether a person or an algorithm made the mask; an automatic one is grown a little.",
    )
    prompt: Annotated[Prompt, Field(min_length=1)] = Field(
        description="What to generate.", examples=["a red balloon"]
    )
    refine_prompt: bool = Field(True, description="Refine the prompt with a language model.")


class GenFillResult(SeedResult):
    """The result of gen_fill."""

    prompt: str = Field(description="The prompt that was sent.", examples=["a red balloon"])
    refined_prompt: str | None = REFINED_PROMPT


def perform(body: GenFillBody, inputs: Inputs, models: Models) -> Results:
    """Return the picture with what the prompt describes, and the refined prompt."""
    asked = (body.prompt, body.negative_prompt, [body.seed], body.mask_type)
    mask = inputs.masks["mask"]
    refined_prompt = None
    if body.refine_prompt:
        made = gen_fill_refined(inputs.image, mask, models, *asked, over_white=True)
        pictures, refined_prompt = made.pictures, made.refined_prompt
    else:
        pictures = gen_fill(inputs.image, mask, models, *asked, over_white=True)
    return Results(
        [with_alpha(picture, body.preserve_alpha) for picture in pictures],
        {"refined_prompt": refined_prompt},
    )


def respond(body: GenFillBody, delivered: Delivered) -> GenFillResult:
    """Return the result with its seed and both prompts."""
    return GenFillResult(
        image_url=str(delivered.links[0]),
        seed=body.seed,
        prompt=body.prompt,
        refined_prompt=delivered.details["refined_prompt"],
    )


OPERATION = Operation(
    path="/image/edit/gen_fill",
    summary="Generate an object by prompt",
    body=GenFillBody,
    pictures=(V2_IMAGE, V2_MASK),
    preserves=Preserve.PIXELS,
    check=check_mask,
    needs=lambda models: (GENERATIVE_FILL,),
    without={PROMPT_REFINEMENT: "prompts are not refined"},
    perform=perform,
    response=GenFillResult,
    respond=respond,
    has_details=True,
    version="v2",
)
