"""POST /v2/structured_instruction/generate: the structured instruction of an edit, without the picture."""

from pydantic import ConfigDict, Field

from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models
from pipelines.structured_instruction import structured_instruction
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.v2.fields import TextBody
from server.v2.words import (
    MASK_OF_IMAGES,
    ImagesBody,
    Instruction,
    StructuredInstruction,
    check_images,
    gather_images,
    pictures_of,
    refuse_invisible_image,
)


class StructuredInstructionBody(TextBody, ImagesBody):
    """The fields of structured_instruction/generate."""

    model_config = ConfigDict(json_schema_extra={"required": ["images", "instruction"]})

    instruction: Instruction = Field(
        description="What to change, in words.", examples=["make the car red"]
    )
    visual_input_content_moderation: bool = Field(
        True, description="Refuse inappropriate input with 422."
    )


class StructuredInstructionResult(StructuredInstruction):
    """The structured instruction of a request."""

    seed: int = Field(
        description="With this seed the same request gives the same result.", examples=[12345]
    )


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
    pictures=(MASK_OF_IMAGES,),
    preserves=Preserve.PIXELS,
    gather=gather_images,
    check=check_images,
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
