"""POST /v2/image/edit/erase_by_text: remove the object that a text names."""

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import Name, named_edit
from server.v2.words import WordsBody


class EraseByTextBody(WordsBody):
    """The fields of erase_by_text."""

    object_name: Name = Field(description="What to remove.", examples=["the lamp"])


OPERATION = named_edit(
    "erase_by_text",
    "Remove a named object",
    EraseByTextBody,
    lambda body: instruction("erase_by_text", body.object_name),
)
