"""POST /v1/image_expansion: place a picture on a larger canvas and continue it beyond its borders."""

from typing import Literal

from pydantic import BaseModel, Field

from imaging.picture import Picture
from models.roles import CAPTIONING, OUTPAINTING, Models
from pipelines.common.prompts import prompt_or_caption
from pipelines.errors import OutsideCanvasError
from pipelines.image_expansion import expansion_roles, image_expansion
from server.errors import BadRequestError
from server.geometry_fields import ExpansionGeometry, check_placement, longest_side
from server.http.uploads import LIMITED_IMAGE
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
)
from server.v1.alpha import AlphaBody


class ImageExpansionBody(ExpansionGeometry, AlphaBody):
    """The fields of image_expansion."""

    preserve_alpha: bool | None = Field(
        None,
        description="true: the result has the image's alpha channel; a new pixel has the alpha of the nearest"
        " one of the image in its row or column. Otherwise the result is opaque, and what is transparent is"
        " generated too.",
    )
    prompt: str = Field("", max_length=10_000, description="What to generate in the margin.")
    negative_prompt: str = Field("", max_length=10_000, description="What must not be generated.")
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="The same seed gives the same result; random if absent.",
    )


class ImageExpansionAnswer(BaseModel):
    """The answer of image_expansion, with the spelling of the published page.

    With sync=false it is sent before the result exists, so it never says NSFW.
    """

    code: int = 200
    description: str = "SUCCESS"
    message: Literal["Finished sucessfully", "Content might not be safe for work"] = (
        "Finished sucessfully"
    )
    prompt: str = Field(description="The prompt that was used.", examples=["a wooden table"])
    result_url: str = Field(
        description="Address of the result; it expires.", examples=[EXAMPLE_LINK]
    )
    seed: int = Field(
        description="With this seed the same request gives the same result.", examples=[12345]
    )
    status: Literal["SUCCESS", "NSFW"] = Field(
        "SUCCESS",
        description="NSFW if the result's moderation score is at the threshold or above; with"
        " content_moderation such a result is refused instead. SUCCESS with sync=false.",
    )


def prepare(body: ImageExpansionBody, inputs: Inputs, models: Models) -> ImageExpansionBody:
    """Return the body with a caption as the prompt if none was sent and the profile has a model.

    The answer contains the prompt that was used.
    """
    prompt = prompt_or_caption(body.prompt, inputs.image, models)
    return body.model_copy(update={"prompt": prompt})


def perform(body: ImageExpansionBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the expanded picture."""
    layout = body.layout((inputs.image.width, inputs.image.height))
    words = (body.prompt, body.negative_prompt)
    return [image_expansion(inputs.image, models, *layout, body.seed, *words, body.preserve_alpha)]


def respond(body: ImageExpansionBody, delivered: Delivered) -> ImageExpansionAnswer:
    """Return the answer with the link, the seed and the prompt, and whether the result is unsafe."""
    answer = ImageExpansionAnswer(
        prompt=body.prompt, result_url=str(delivered.links[0]), seed=body.seed
    )
    if delivered.unsafe[0]:
        answer.status, answer.message = "NSFW", "Content might not be safe for work"
    return answer


OPERATION = Operation(
    path="/image_expansion",
    summary="Expand the image",
    body=ImageExpansionBody,
    pictures=(LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    perform=perform,
    check=check_placement,
    prepare=prepare,
    needs=expansion_roles,
    without={
        OUTPAINTING: "prompt and negative_prompt do not change the margin",
        CAPTIONING: "no prompt is made if none is sent",
    },
    longest_side=longest_side,
    scores_results=True,
    response=ImageExpansionAnswer,
    respond=respond,
    refusals={
        OutsideCanvasError: (
            BadRequestError,
            "original_image_location leaves nothing of the image",
        ),
    },
)
