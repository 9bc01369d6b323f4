"""The fields, pictures and results of the routes of v2 that edit or generate pictures by words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from imaging.picture import Picture
from models.roles import INSTRUCTION_EDITING, MAX_PICTURES, Models, Role
from pipelines.common.opacity import check_visible, opaque
from pipelines.edit_by_words import Words, edit_by_words
from pipelines.errors import BadInstructionError
from pipelines.structured_instruction import parse_structured, prompt_of, structured_instruction
from server.errors import BadRequestError
from server.http.uploads import IMAGE, Encoded, Intake
from server.listed_pictures import check_pixels, gather_listed, listed, numbered, one_or_many
from server.operation import Delivered, Inputs, Results
from server.shared_fields import check_mask
from server.v2.fields import V2_MASK, Prompt, PromptBody, SeedResult, V2Body, in_v2

MAX_STRUCTURED = 50_000
"""Longest structured instruction, in characters; samples of the hosted API have up to about 10,000."""


def _structured(value: Any) -> Any:
    """Return a structured instruction that was sent as an object as its JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _check_structured(value: str) -> str:
    try:
        if value:
            parse_structured(value)
    except BadInstructionError as error:
        raise ValueError(str(error)) from error
    return value


Instruction = Annotated[Prompt, Field(min_length=1)]
"""Free text that must not be blank."""
Structured = Annotated[
    str,
    BeforeValidator(_structured),
    StringConstraints(strip_whitespace=True, max_length=MAX_STRUCTURED),
    AfterValidator(_check_structured),
]
"""JSON text of an object; an object itself is taken too."""
OutputType = Literal["png", "jpeg"]


class ModeratedBody(V2Body):
    """The moderation of these routes: all three switches are on by default."""

    visual_input_content_moderation: bool = Field(
        True, description="Refuse inappropriate input with 422."
    )
    visual_output_content_moderation: bool = Field(
        True, description="Withhold an inappropriate result: 422."
    )


class WordsBody(ModeratedBody, PromptBody):
    """The fields of the routes that edit a picture by words, besides the words themselves."""


class ImagesBody(BaseModel):
    """The pictures of the routes that take up to four; the last base of their bodies."""

    model_config = ConfigDict(json_schema_extra={"required": ["images"]})

    # The pictures are stored beside the body, so a stored job has no second copy in it. So the field needs a
    # default, and `check_images` refuses a request without one.
    images: Annotated[tuple[str, ...], BeforeValidator(listed), one_or_many(MAX_PICTURES)] = Field(
        (),
        max_length=MAX_PICTURES,
        exclude=True,
        description='One to four pictures, addresses or files in base64; the instruction calls them "image 1",'
        ' "image 2" and so on.',
        examples=[["https://example.com/image.png"]],
    )


MASK_OF_IMAGES = replace(V2_MASK, required=False)


async def gather_images(body: ImagesBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the pictures in their order."""
    sent = numbered("images", body.images)
    return named(await gather_listed(sent, "images", partial(in_v2, IMAGE), intake))


def check_images(body: ImagesBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse no picture, pictures that are too large together, and a mask of several or of another ratio."""
    if "image" not in pictures:
        raise BadRequestError("No picture was given: send images.", "images")
    check_pixels(pictures, "images")
    if "mask" not in pictures:
        return
    if len(pictures) > 2:
        raise BadRequestError("A mask can be sent with one picture only.", "mask")
    check_mask(body, pictures)


class StructuredInstruction(BaseModel):
    """What tells a caller how to make the same edit again."""

    structured_instruction: str = Field(
        description="JSON text; with it instead of the words, the same pictures, mask and seed make the same"
        " result.",
        examples=['{"edit_instruction": "make the car red, and keep everything else as it is"}'],
    )
    structured_prompt: str = Field(
        description="The same text; the hosted status service has this name for it.",
        examples=['{"edit_instruction": "make the car red, and keep everything else as it is"}'],
    )


class WordsResult(StructuredInstruction, SeedResult):
    """The result of the routes that edit pictures by words."""


def needs_editing(_: Models) -> tuple[Role[Any], ...]:
    """Return the role that every route by words needs."""
    return (INSTRUCTION_EDITING,)


def pictures_of(inputs: Inputs) -> list[Picture]:
    """Return the pictures of a request in the order of its list."""
    return [inputs.pictures[name] for name in picture_names(len(inputs.pictures))]


def named(pictures: Sequence[Encoded], first: int = 1) -> dict[str, Encoded]:
    """Return pictures by their names in `Inputs`. first: the number of the first of them."""
    names = picture_names(first - 1 + len(pictures))[first - 1 :]
    return dict(zip(names, pictures, strict=True))


def picture_names(count: int) -> list[str]:
    """Return the names in `Inputs` of the pictures in a list: image, image_2, image_3 and so on."""
    return ["image", *(f"image_{number}" for number in range(2, count + 1))][:count]


def refuse_invisible_image(body: Any, inputs: Inputs, _: Models) -> Any:
    """Return the body; raises NothingVisibleError if nothing of the first picture is visible."""
    check_visible(inputs.image)
    return body


def edited(
    body: WordsBody,
    pictures: Sequence[Picture],
    models: Models,
    instruction: str,
    structured: str = "",
    effort: float = 1.0,
    guidance: float = 1.0,
    *,
    is_opaque: bool = False,
    **options: Any,
) -> Results:
    """Return the edited picture, and the structured instruction that was used.

    structured: instead of the instruction. is_opaque: lay the result over white, for a format without
    alpha. options: of `edit_by_words`.
    """
    structured = structured or structured_instruction(instruction, pictures, models)
    words = Words(prompt_of(structured), body.negative_prompt, effort, guidance)
    picture = edit_by_words(pictures, models, words, body.seed, **options)
    files = [opaque(picture) if is_opaque else picture]
    return Results(files, {"structured_instruction": structured})


def words_result(body: WordsBody, delivered: Delivered) -> WordsResult:
    """Return the result with its link, seed and structured instruction."""
    structured = delivered.details["structured_instruction"]
    return WordsResult(
        image_url=str(delivered.links[0]),
        seed=body.seed,
        structured_instruction=structured,
        structured_prompt=structured,
    )
