"""POST /v1/enhance_image: double the size of a picture and make its detail clearer."""

from typing import Literal

from pydantic import Field

from models.roles import SUPER_RESOLUTION
from pipelines.enhance import enhance, enhanced_size
from server.http.uploads import IMAGE
from server.operation import (
    MAX_SEED,
    MIN_SEED,
    Delivered,
    Operation,
    Preserve,
    ResultUrl,
    Seed,
    random_seed,
)
from server.v1.alpha import AlphaBody

MIN_STEPS, MAX_STEPS, STEPS = 10, 50, 20


class EnhanceImageBody(AlphaBody):
    """The fields of enhance_image.

    No published page of v1 lists them any more; they are those that callers send, with the bounds of the
    older official client and its default of 20 steps.
    """

    resolution: Literal["1MP", "2MP", "4MP"] | None = Field(
        None,
        description="Size of the result in megapixels, at most four times each side; a picture is never"
        " reduced. Without it the size is doubled, up to 10 megapixels.",
    )
    steps_num: int = Field(
        STEPS,
        ge=MIN_STEPS,
        le=MAX_STEPS,
        description="Steps of a generative model. No profile has one for this: it changes nothing.",
    )
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="Is returned. There is no chance in the result: it is the same for every seed.",
    )


class EnhanceImageAnswer(ResultUrl):
    """The link and the seed of the result."""

    seed: int = Field(description="The seed that was sent, or a new one.", examples=[12345])


def respond(body: EnhanceImageBody, delivered: Delivered) -> EnhanceImageAnswer:
    """Return the answer with the link and the seed."""
    return EnhanceImageAnswer(result_url=str(delivered.links[0]), seed=body.seed)


OPERATION = Operation(
    path="/enhance_image",
    summary="Enhance the image",
    body=EnhanceImageBody,
    pictures=(IMAGE,),
    preserves=Preserve.FORMAT,
    needs=lambda models: (SUPER_RESOLUTION,),
    perform=lambda body, inputs, models: [
        enhance(inputs.image, models, body.resolution, body.preserve_alpha)
    ],
    longest_side=lambda body, probe: max(enhanced_size(probe.width, probe.height, body.resolution)),
    response=EnhanceImageAnswer,
    respond=respond,
)
