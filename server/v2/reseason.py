"""POST /v2/image/edit/reseason: change the season."""

from typing import Annotated

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.named_edit import ValueOf, named_edit
from server.v2.words import WordsBody

Season = Annotated[str, ValueOf("reseason")]
"""A season, or free words."""


class ReseasonBody(WordsBody):
    """The fields of reseason."""

    season: Season = Field(
        description="The season; other words are free text.", examples=["winter"]
    )


OPERATION = named_edit(
    "reseason",
    "Change the season",
    ReseasonBody,
    lambda body: instruction("reseason", body.season),
)
