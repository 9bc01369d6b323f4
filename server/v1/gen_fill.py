"""POST /v1/gen_fill: generate an object from a prompt in the area that a mask marks."""

from pydantic import BaseModel, Field

from imaging.picture import Picture
from models.roles import GENERATIVE_FILL, Models
from pipelines.common.opacity import with_alpha
from pipelines.gen_fill import gen_fill
from server.http.uploads import IMAGE, MASK
from server.operation import (
    EXAMPLE_LINK,
    MAX_SEED,
    MIN_SEED,
    Delivered,
    Inputs,
    Operation,
    Preserve,
    Seed,
    random_seed,
    seeds_of,
)
from server.shared_fields import MaskType, check_mask
from server.v1.alpha import AlphaBody

BLOCKED = "422_image_blocked_due_to_content_moderation"
"""Replaces the link of a result that moderation blocked, as on the published page."""


class GenFillBody(AlphaBody):
    """The fields of gen_fill."""

    sync: bool = Field(False, description="Wait for the results; false answers with links at once.")
    mask_type: MaskType = Field(
        "manual", description="Whether a person or an algorithm made the mask."
    )
    prompt: str = Field(
        min_length=1, max_length=10_000, description="What to generate.", examples=["a red balloon"]
    )
    negative_prompt: str = Field("", max_length=10_000, description="What must not be generated.")
    num_results: int = Field(4, ge=1, le=4, description="How many results are generated.")
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="Seed of the first result; each further result has the next number.",
    )


class GenFillAnswer(BaseModel):
    """The link and the seed of each result."""

    urls: list[str] = Field(examples=[[EXAMPLE_LINK]])
    seed: list[int | None] = Field(
        description="null if moderation blocked the result.", examples=[[12345]]
    )


def respond(body: GenFillBody, delivered: Delivered) -> GenFillAnswer:
    """Return the answer with each result's link and seed."""
    return GenFillAnswer(
        urls=[link or BLOCKED for link in delivered.links],
        seed=[body.seed + index if link else None for index, link in enumerate(delivered.links)],
    )


def perform(body: GenFillBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return all results of a request, one for each seed."""
    seeds = seeds_of(body.seed, body.num_results)
    results = gen_fill(
        inputs.image,
        inputs.masks["mask"],
        models,
        body.prompt,
        body.negative_prompt,
        seeds,
        body.mask_type,
        over_white=body.preserve_alpha is False,
    )
    return [with_alpha(result, body.preserve_alpha) for result in results]


OPERATION = Operation(
    path="/gen_fill",
    summary="Generate an object by prompt",
    body=GenFillBody,
    pictures=(IMAGE, MASK),
    preserves=Preserve.PIXELS,
    check=check_mask,
    needs=lambda models: (GENERATIVE_FILL,),
    perform=perform,
    count=lambda body: body.num_results,
    response=GenFillAnswer,
    respond=respond,
)
