"""POST /v2/image/edit/colorize: colour a picture, or make it black and white or sepia."""

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, cast

from pydantic import Field, model_validator

from imaging.picture import Picture
from models.roles import INSTRUCTION_EDITING, Models, Role
from pipelines.colorize import ONE_TONE, in_one_tone
from pipelines.common.opacity import with_alpha
from pipelines.instructions import instruction
from server.http.fields import is_absent
from server.operation import Inputs, Results
from server.v2.named_edit import NO_CAPTION, ValueOf, named_edit, structured
from server.v2.words import WordsBody, edited, pictures_of

Color = Annotated[str, ValueOf("colorize")]
"""Which colours the picture gets."""


class ColorizeBody(WordsBody):
    """The fields of colorize."""

    color: Color = Field(
        description="The colours. black_and_white and sepia_vintage are computed without a model, so they work"
        " in every profile, and seed and negative_prompt then change nothing.",
        examples=["black_and_white"],
    )
    style: str | None = Field(
        None, max_length=64, description="Another name of color, which some programs send."
    )
    preserve_alpha: bool = Field(
        True, description="Keep the transparency of the image; false makes the result opaque."
    )

    @model_validator(mode="before")
    @classmethod
    def _color_by_its_other_name(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or is_absent(fields.get("style")):
            return fields
        return {"color": fields["style"], **fields}


def told(body: ColorizeBody, inputs: Inputs, models: Models) -> str:
    """Return the structured instruction of a request, also where no model follows it."""
    return structured(body, inputs, models, lambda body: instruction("colorize", body.color))


def roles(body: ColorizeBody, _: Inputs, __: Models) -> Collection[Role[Any]]:
    """Return no role for what is arithmetic."""
    return () if body.color in ONE_TONE else (INSTRUCTION_EDITING,)


def perform(body: ColorizeBody, inputs: Inputs, models: Models) -> Results:
    """Return the picture in its new colours; the model sees it over white, its alpha is put back."""
    text = told(body, inputs, models)
    if body.color in ONE_TONE:
        made = in_one_tone(inputs.image, body.color)
        return Results([with_alpha(made, body.preserve_alpha)], {"structured_instruction": text})
    results = edited(body, pictures_of(inputs), models, "", text)
    if inputs.image.alpha is None or not body.preserve_alpha:
        return results
    made = cast(Picture, results.files[0])
    return replace(results, files=[Picture(made.rgb, inputs.image.alpha)])


OPERATION = named_edit(
    "colorize",
    "Colour a picture, or take its colours away",
    ColorizeBody,
    lambda body: instruction("colorize", body.color),
    needs=lambda models: (),
    roles=roles,
    without={INSTRUCTION_EDITING: f"color takes {' and '.join(ONE_TONE)} only", **NO_CAPTION},
    perform=perform,
)
