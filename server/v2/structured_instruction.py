"""POST /v2/structured_instruction/generate: the structured instruction of an edit, without the picture."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models
from pipelines.structured_instruction import structured_instruction
from server.errors import BadRequestError
from server.http.uploads import IMAGE, Encoded, Intake
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.shared_fields import check_mask
from server.v2.fields import V2_MASK, TextBody, gather_listed
from server.v2.words import (
    Images,
    Instruction,
    picture_names,
    pictures_of,
    refuse_invisible_image,
)


class StructuredInstructionBody(TextBody):
    """The fields of structured_instruction/generate."""

    model_config = ConfigDict(json_schema_extra={"required": ["images", "instruction"]})

    images: Images = Field(
        (),
        description='One to four pictures; the instruction calls them "image 1", "image 2" and so on.',
        examples=[["https://example.com/image.png"]],
    )
    instruction: Instruction = Field(
        description="What to change, in words.", examples=["make the car red"]
    )
    visual_input_content_moderation: bool = Field(
        True, description="Refuse inappropriate input with 422."
    )


class StructuredInstructionResult(BaseModel):
    """The structured instruction of a request."""

    seed: int = Field(
        description="With this seed the same request gives the same result.", examples=[12345]
    )
    structured_instruction: str = Field(
        description="JSON text; /v2/image/edit with it instead of the instruction, and the same pictures, mask"
        " and seed, makes what it makes with the instruction.",
        examples=['{"edit_instruction": "make the car red, and keep everything else as it is"}'],
    )
    structured_prompt: str = Field(
        description="The same text; the hosted status service has this name for it.",
        examples=['{"edit_instruction": "make the car red, and keep everything else as it is"}'],
    )


async def gather(body: StructuredInstructionBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the pictures in their order."""
    return await gather_listed(
        body.images, "images", picture_names(len(body.images)), IMAGE, intake
    )


def check(body: StructuredInstructionBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse no picture, and a mask of several pictures or of another ratio."""
    if "image" not in pictures:
        raise BadRequestError("No picture was given: send images.", "images")
    if "mask" not in pictures:
        return
    if len(pictures) > 2:
        raise BadRequestError("A mask can be sent with one picture only.", "mask")
    check_mask(body, pictures)


def perform(body: StructuredInstructionBody, inputs: Inputs, models: Models) -> Results:
    """Return the structured instruction, as a file too, so that a job for it ends as all others do."""
    structured = structured_instruction(body.instruction, pictures_of(inputs), models)
    return Results([structured.encode()], {"structured_instruction": structured})


def respond(body: StructuredInstructionBody, delivered: Delivered) -> StructuredInstructionResult:
    """Return the structured instruction and the seed."""
    structured = delivered.details["structured_instruction"]
    return StructuredInstructionResult(
        seed=body.seed, structured_instruction=structured, structured_prompt=structured
    )


OPERATION = Operation(
    path="/structured_instruction/generate",
    summary="Describe an edit, as JSON",
    body=StructuredInstructionBody,
    pictures=(replace(V2_MASK, required=False),),
    preserves=Preserve.PIXELS,
    gather=gather,
    check=check,
    prepare=refuse_invisible_image,
    needs=lambda models: (PROMPT_REFINEMENT,),
    without={CAPTIONING: "structured instructions do not describe the picture"},
    perform=perform,
    extension="json",
    response=StructuredInstructionResult,
    respond=respond,
    has_details=True,
    version="v2",
)
