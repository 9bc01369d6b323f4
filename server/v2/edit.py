"""POST /v2/image/edit: change one picture, or make one of several, as an instruction says."""

from collections.abc import Mapping

from pydantic import Field

from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models
from server.errors import BadRequestError
from server.geometry_fields import AspectRatio, exact_ratio
from server.http.uploads import Encoded
from server.operation import Inputs, Operation, Preserve, Results
from server.v2.fields import Prompt
from server.v2.words import (
    MASK_OF_IMAGES,
    ImagesBody,
    OutputType,
    Structured,
    WordsBody,
    WordsResult,
    check_images,
    edited,
    gather_images,
    needs_editing,
    pictures_of,
    refuse_invisible_image,
    words_result,
)

_STEPS, _GUIDANCE = 30, 5
"""The defaults; a model's own number of steps and guidance stand for them."""
_MODEL = "FIBO-edit"


class EditBody(WordsBody, ImagesBody):
    """The fields of edit."""

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


def check(body: EditBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse no instruction, and what `check_images` refuses.

    Programs that had an instruction made structured send both: that is no error.
    """
    check_images(body, pictures)
    if not (body.instruction or body.structured_instruction):
        raise BadRequestError("Send instruction or structured_instruction.", "instruction")


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
    pictures=(MASK_OF_IMAGES,),
    preserves=Preserve.PIXELS,
    gather=gather_images,
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
