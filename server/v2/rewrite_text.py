"""POST /v2/image/edit/rewrite_text: write another text where one is."""

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import Name, named_edit
from server.v2.words import WordsBody


class RewriteTextBody(WordsBody):
    """The fields of rewrite_text."""

    new_text: Name = Field(
        description="The text that is to be read in the picture.", examples=["Fresh bread"]
    )


OPERATION = named_edit(
    "rewrite_text",
    "Rewrite text",
    RewriteTextBody,
    lambda body: instruction("rewrite_text", body.new_text),
)
