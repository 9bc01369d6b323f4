"""POST /v2/image/edit: change one picture, or make one of several, as an instruction says."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import ConfigDict, Field

from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models
from server.errors import BadRequestError
from server.geometry_fields import AspectRatio, exact_ratio
from server.http.uploads import IMAGE, Encoded, Intake
from server.operation import Inputs, Operation, Preserve, Results
from server.shared_fields import check_mask
from server.v2.fields import V2_MASK, Prompt, gather_listed
from server.v2.words import (
    Images,
    OutputType,
    Structured,
    WordsBody,
    WordsResult,
    edited,
    needs_editing,
    picture_names,
    pictures_of,
    refuse_invisible_image,
    words_result,
)

_STEPS, _GUIDANCE = 30, 5
"""The defaults; a model's own number of steps and guidance stand for them."""
_MODEL = "FIBO-edit"


class EditBody(WordsBody):
    """The fields of edit."""

    model_config = ConfigDict(json_schema_extra={"required": ["images"]})

    images: Images = Field(
        (),
        description='One to four pictures; the instruction calls them "image 1", "image 2" and so on.',
        examples=[["https://example.com/image.png"]],
    )
    instruction: Prompt = Field(
        "", description="What to change, in words.", examples=["make the car red"]
    )
    structured_instruction: Structured = Field(
        "",
        description="Instead of an instruction: the JSON text of an earlier result, or one like it.",
    )
    guidance_scale: float = Field(
        _GUIDANCE,
        ge=3,
        le=5,
        description="How closely to follow the words. 5 is the model's own guidance; a model that was made to"
        " need none ignores it, unless a negative_prompt is sent.",
    )
    steps_num: int = Field(
        _STEPS,
        ge=20,
        le=50,
        description="How much work to put in. 30 is the model's own number of steps, other values are in"
        " proportion to it.",
    )
    model_version: str = Field(
        _MODEL, max_length=64, description=f"Accepted; other values than {_MODEL} give a warning."
    )
    aspect_ratio: AspectRatio | None = Field(
        None, description="Width / height of the result; only with two pictures or more."
    )
    output_type: OutputType = Field("png", description="The format of the result.")

    @property
    def warning(self) -> str | None:
        """What the caller asked for that has no effect."""
        texts = [text for text in [super().warning] if text]
        if self.instruction and self.structured_instruction:
            texts.append("instruction: structured_instruction is used instead.")
        if self.model_version != _MODEL:
            texts.append("model_version: this server's profile chooses the model.")
        if self.aspect_ratio is not None and len(self.images) < 2:
            texts.append("aspect_ratio: it has an effect only with two pictures or more.")
        return " ".join(texts) or None


async def gather(body: EditBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the pictures in their order."""
    return await gather_listed(
        body.images, "images", picture_names(len(body.images)), IMAGE, intake
    )


def check(body: EditBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse no picture, no instruction, and a mask of several pictures.

    Programs that had an instruction made structured send both: that is no error.
    """
    if "image" not in pictures:
        raise BadRequestError("No picture was given: send images.", "images")
    if not (body.instruction or body.structured_instruction):
        raise BadRequestError("Send instruction or structured_instruction.", "instruction")
    if "mask" not in pictures:
        return
    if len(pictures) > 2:
        raise BadRequestError("A mask can be sent with one picture only.", "mask")
    check_mask(body, pictures)


def perform(body: EditBody, inputs: Inputs, models: Models) -> Results:
    """Return the edited picture and its structured instruction."""
    pictures = pictures_of(inputs)
    ratio = None
    if len(pictures) > 1 and body.aspect_ratio is not None:
        ratio = exact_ratio(body.aspect_ratio)
    return edited(
        body,
        pictures,
        models,
        body.instruction,
        body.structured_instruction,
        body.steps_num / _STEPS,
        body.guidance_scale / _GUIDANCE,
        mask=inputs.masks.get("mask"),
        ratio=ratio,
        is_opaque=body.output_type == "jpeg",
    )


OPERATION = Operation(
    path="/image/edit",
    summary="Edit pictures by words",
    body=EditBody,
    pictures=(replace(V2_MASK, required=False),),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    prepare=refuse_invisible_image,
    needs=needs_editing,
    without={
        PROMPT_REFINEMENT: "instructions are not refined",
        CAPTIONING: "structured instructions do not describe the picture",
    },
    perform=perform,
    extension_of=lambda body: body.output_type,
    response=WordsResult,
    respond=words_result,
    has_details=True,
    version="v2",
)
