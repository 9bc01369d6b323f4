"""POST /v2/image/edit/add_object_by_text: add what a text says."""

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import named_edit
from server.v2.words import Instruction, WordsBody


class AddObjectBody(WordsBody):
    """The fields of add_object_by_text."""

    instruction: Instruction = Field(
        description="What to add, and where.",
        examples=["Place a red vase with flowers on the table"],
    )


OPERATION = named_edit(
    "add_object_by_text",
    "Add an object",
    AddObjectBody,
    lambda body: instruction("add_object_by_text", body.instruction),
)
