"""POST /v2/image/generate and /v2/image/generate/lite: make a picture from words."""

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from models.roles import (
    CAPTIONING,
    INSTRUCTION_EDITING,
    PROMPT_REFINEMENT,
    SUPER_RESOLUTION,
    Models,
)
from pipelines.edit_by_words import Words
from pipelines.structured_instruction import prompt_of
from pipelines.text_to_image import result_size, text_to_image
from server.errors import FetchRefusedError
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.v2.fields import ImageResult, PromptBody
from server.v2.sources import (
    WITHOUT_CAPTIONS,
    WITHOUT_REFINEMENT,
    SourcesBody,
    StructuredPromptResult,
    captioning_for,
    check,
    gather,
    prepare,
    structured_of,
)
from server.v2.words import OutputType

_GUIDANCE = 5
"""The default; a model's own guidance stands for it."""
_LONGEST = 5
MAX_STYLE = 100
"""Longest style, in characters."""


def _check_ratio(value: str) -> str:
    ratio = _ratio(value)
    if ratio is None or not Fraction(1, _LONGEST) <= ratio <= _LONGEST:
        raise ValueError(
            f"it must be width:height in whole numbers, such as 16:9, from 1:{_LONGEST} to {_LONGEST}:1"
        )
    return value


def _ratio(value: str) -> Fraction | None:
    """Return width / height, or None if there is none."""
    width, _, height = value.partition(":")
    return Fraction(int(width), int(height)) if int(height) else None


RatioText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{1,2}:[0-9]{1,2}$"),
    AfterValidator(_check_ratio),
]


class GenerateBody(SourcesBody, PromptBody):
    """The fields of generate."""

    resolution: Literal["1MP", "4MP"] = Field(
        "1MP",
        description="4MP: the picture is generated at the model's own size and enlarged to twice the width and"
        " height, by the profile's super-resolution model if it has one.",
    )
    aspect_ratio: RatioText = Field(
        "1:1",
        description="Width:height of the result, such as 1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, 16:9, 16:10,"
        f" 21:9; from 1:{_LONGEST} to {_LONGEST}:1.",
    )
    steps_num: int = Field(
        50,
        ge=35,
        le=50,
        description="How much work to put in. The default is the model's own number of steps, other values are"
        " in proportion to it.",
    )
    guidance_scale: float = Field(
        _GUIDANCE,
        ge=3,
        le=5,
        allow_inf_nan=False,
        description="How closely to follow the words. 5 is the model's own guidance; a model that was made to"
        " need none ignores it, unless a negative_prompt is sent.",
    )
    style: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_STYLE)] = Field(
        "", description="The artistic style, in free words; part of the structured prompt."
    )
    output_type: OutputType = Field("png", description="The format of the result.")
    visual_output_content_moderation: bool = Field(
        True, description="Withhold an inappropriate result: 422."
    )


class GenerateLiteBody(GenerateBody):
    """The fields of generate/lite."""

    steps_num: int = Field(
        8,
        ge=8,
        le=30,
        description="How much work to put in. The default is the model's own number of steps, other values are"
        " in proportion to it.",
    )


class GenerateResult(ImageResult, StructuredPromptResult):
    """The result of the routes that generate a picture."""


def perform(body: GenerateBody, inputs: Inputs, models: Models) -> Results:
    """Return the picture, and the structured prompt that it was made from."""
    structured = structured_of(body, inputs, models, body.style)
    words = Words(
        prompt_of(structured),
        body.negative_prompt,
        body.steps_num / type(body).model_fields["steps_num"].default,
        body.guidance_scale / _GUIDANCE,
    )
    size = result_size(_ratio(body.aspect_ratio) or Fraction(1), body.resolution)
    made = text_to_image(models, words, [body.seed], size)
    return Results(made, {"structured_prompt": structured})


def respond(body: GenerateBody, delivered: Delivered) -> GenerateResult:
    """Return the result with its link, seed and structured prompt."""
    return GenerateResult(
        image_url=str(delivered.links[0]),
        seed=body.seed,
        structured_prompt=delivered.details["structured_prompt"],
    )


def _operation(path: str, summary: str, body: type[GenerateBody]) -> Operation[GenerateBody]:
    return Operation(
        path=path,
        summary=summary,
        body=body,
        preserves=Preserve.PIXELS,
        gather=gather,
        check=check,
        prepare=prepare,
        needs=lambda models: (INSTRUCTION_EDITING,),
        roles=lambda body, inputs, models: (INSTRUCTION_EDITING, *captioning_for(inputs)),
        without={
            PROMPT_REFINEMENT: WITHOUT_REFINEMENT,
            CAPTIONING: WITHOUT_CAPTIONS,
            SUPER_RESOLUTION: "4MP is resampled from 1MP",
        },
        perform=perform,
        extension_of=lambda body: body.output_type,
        response=GenerateResult,
        respond=respond,
        has_details=True,
        further_codes=(FetchRefusedError.code,),
        version="v2",
    )


OPERATION = _operation("/image/generate", "Generate a picture", GenerateBody)
LITE = _operation("/image/generate/lite", "Generate a picture quickly", GenerateLiteBody)
