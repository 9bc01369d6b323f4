"""POST /v2/image/edit/sketch_to_colored_image: turn a sketch into a coloured photograph."""

from pydantic import Field

from pipelines.instructions import instruction
from server.v2.fields import Prompt
from server.v2.named_edit import named_edit
from server.v2.words import WordsBody


class SketchBody(WordsBody):
    """The fields of sketch_to_colored_image."""

    prompt: Prompt = Field("", description="What the sketch shows, if it is not clear.")


OPERATION = named_edit(
    "sketch_to_colored_image",
    "Turn a sketch into a photograph",
    SketchBody,
    lambda body: instruction("sketch_to_colored_image", body.prompt),
)
