"""POST /v2/image/edit/restyle: redraw a picture in another style."""

from typing import Annotated

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import ValueOf, named_edit
from server.v2.words import WordsBody

Style = Annotated[str, ValueOf("restyle")]
"""A style, or a description of one."""


class RestyleBody(WordsBody):
    """The fields of restyle."""

    style: Style = Field(
        description="The style: one of the names, or a description of another.",
        examples=["oil_painting"],
    )


OPERATION = named_edit(
    "restyle",
    "Change the style",
    RestyleBody,
    lambda body: instruction("restyle", body.style),
)
