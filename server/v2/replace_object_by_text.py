"""POST /v2/image/edit/replace_object_by_text: put another object in the place of one."""

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import named_edit
from server.v2.words import Instruction, WordsBody


class ReplaceObjectBody(WordsBody):
    """The fields of replace_object_by_text."""

    instruction: Instruction = Field(
        description="What to replace, and by what.",
        examples=["Replace the red apple by a green pear"],
    )


OPERATION = named_edit(
    "replace_object_by_text",
    "Replace an object",
    ReplaceObjectBody,
    lambda body: instruction("replace_object_by_text", body.instruction),
)
