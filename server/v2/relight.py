"""POST /v2/image/edit/relight: change the light."""

from typing import Annotated

from pydantic import Field

from pipelines.instructions import relit
from server.v2.named_edit import ValueOf, named_edit
from server.v2.words import WordsBody

LightType = Annotated[str, ValueOf("relight")]
"""The kind of light."""
LightDirection = Annotated[str, ValueOf("light_direction")]
"""Where it comes from."""


class RelightBody(WordsBody):
    """The fields of relight."""

    light_type: LightType = Field(description="The new light.", examples=["sunrise light"])
    light_direction: LightDirection | None = Field(
        None, description="Where the light comes from; the model decides if absent."
    )


OPERATION = named_edit(
    "relight",
    "Change the light",
    RelightBody,
    lambda body: relit(body.light_type, body.light_direction),
)
