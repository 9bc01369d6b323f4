"""POST /v2/image/edit/blend: blend something into a picture, such as art onto a shirt."""

from dataclasses import replace

from pydantic import Field

from pipelines.instructions import instruction
from server.http.uploads import IMAGE
from server.v2.fields import in_v2
from server.v2.named_edit import named_edit
from server.v2.words import Instruction, WordsBody

OVERLAY = in_v2(replace(IMAGE, name="image_2", required=False), "overlay")
"""The picture that is blended in; the instruction may call it image 2."""


class BlendBody(WordsBody):
    """The fields of blend."""

    instruction: Instruction = Field(
        description="What to blend, and where.",
        examples=["Place the art on the shirt, and keep the art exactly the same"],
    )


OPERATION = named_edit(
    "blend",
    "Blend into a picture",
    BlendBody,
    lambda body: instruction("blend", body.instruction),
    OVERLAY,
)
