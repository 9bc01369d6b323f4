"""POST /v1/image_expansion: place a picture on a larger canvas and continue it beyond its borders."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from models.roles import (
    CAPTIONING,
    INPAINTING,
    MATTING,
    OUTPAINTING,
    SEGMENTATION,
    Models,
    Role,
)
from pipelines.errors import OutsideCanvasError
from pipelines.image_expansion import image_expansion, placement
from server.errors import BadRequestError
from server.http.uploads import LIMITED_IMAGE, Encoded
from server.operation import (
    EXAMPLE_LINK,
    MAX_RESULT_PIXELS,
    MAX_SEED,
    MIN_SEED,
    Delivered,
    EditBody,
    Inputs,
    Operation,
    Preserve,
    Seed,
    random_seed,
)

MAX_CANVAS_PIXELS = 25_000_000
"""5000 x 5000, from the published page."""
_MAX_DISTANCE = 100_000
"""Largest coordinate and side of the image, in pixels; real pictures need less."""


_MAX_PAIR_LENGTH = 100


def _pair(value: Any) -> Any:
    """Return a pair that a form sends as text, `[1200, 674]` or `1200,674`, as a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str) and len(value) <= _MAX_PAIR_LENGTH:
        try:
            return json.loads(f"[{value.strip().removeprefix('[').removesuffix(']')}]")
        except (ValueError, RecursionError):
            return value
    return value


Side = Annotated[int, Field(ge=1, le=MAX_RESULT_PIXELS)]
Coordinate = Annotated[int, Field(ge=-_MAX_DISTANCE, le=_MAX_DISTANCE)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_pair)]
ImageSide = Annotated[int, Field(ge=1, le=_MAX_DISTANCE)]
ImageSize = Annotated[tuple[ImageSide, ImageSide], BeforeValidator(_pair)]
Location = Annotated[tuple[Coordinate, Coordinate], BeforeValidator(_pair)]


class ImageExpansionBody(EditBody):
    """The fields of image_expansion."""

    canvas_size: Size = Field(
        (1000, 1000), description="Width and height of the result.", examples=[[1200, 800]]
    )
    original_image_size: ImageSize | None = Field(
        None,
        description="Width and height of the image within the canvas.",
        examples=[[600, 400]],
    )
    original_image_location: Location | None = Field(
        None,
        description="Position of the image's upper left corner; it may be outside the canvas.",
        examples=[[300, 200]],
    )
    prompt: str = Field("", max_length=10_000, description="What to generate in the margin.")
    negative_prompt: str = Field("", max_length=10_000, description="What must not be generated.")
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="The same seed gives the same result; random if absent.",
    )

    @field_validator("canvas_size")
    @classmethod
    def _canvas_area(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] * value[1] > MAX_CANVAS_PIXELS:
            raise ValueError("the canvas may have an area of at most 5000 x 5000 pixels")
        return value

    @field_validator("original_image_size")
    @classmethod
    def _image_area(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and value[0] * value[1] > MAX_RESULT_PIXELS:
            raise ValueError("the image may have an area of at most 8192 x 8192 pixels")
        return value


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


def check(body: ImageExpansionBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a location at which no part of the image is on the canvas."""
    probe = pictures["image"].probe
    placement(
        (probe.width, probe.height),
        body.canvas_size,
        body.original_image_size,
        body.original_image_location,
    )


def prepare(body: ImageExpansionBody, inputs: Inputs, models: Models) -> ImageExpansionBody:
    """Return the body with a caption as the prompt if none was sent and the profile has a model.

    The answer contains the prompt that was used.
    """
    if body.prompt or not models.offers(CAPTIONING):
        return body
    with models.use(CAPTIONING) as captioning:
        return body.model_copy(update={"prompt": captioning.caption(inputs.image.rgb)})


def needs(models: Models) -> tuple[Role[Any], ...]:
    """Return the models that the margin needs; without an outpainting model it is inpainted."""
    if models.offers(OUTPAINTING):
        return (OUTPAINTING,)
    return MATTING, SEGMENTATION, INPAINTING


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
    perform=lambda body, inputs, models: [
        image_expansion(
            inputs.image,
            models,
            body.canvas_size,
            body.original_image_size,
            body.original_image_location,
            body.seed,
            body.prompt,
            body.negative_prompt,
        )
    ],
    check=check,
    prepare=prepare,
    needs=needs,
    without={
        OUTPAINTING: "prompt and negative_prompt do not change the margin",
        CAPTIONING: "no prompt is made if none is sent",
    },
    longest_side=lambda body, probe: max(body.canvas_size),
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
