"""What v2 generates pictures from: a prompt, a picture or a structured prompt, in the allowed combinations."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from models.roles import CAPTIONING, Models, Role
from pipelines.common.opacity import check_visible
from pipelines.structured_instruction import structured_prompt, with_change, with_style
from server.errors import BadRequestError, TooLargeError
from server.http.uploads import IMAGE, Encoded, Intake
from server.listed_pictures import gather_listed, listed, numbered, one_or_many
from server.operation import Inputs
from server.v2.fields import Prompt, TextBody, in_v2
from server.v2.words import MAX_STRUCTURED, Structured

_MODEL = "FIBO"
WITHOUT_CAPTIONS = "pictures are refused"
WITHOUT_REFINEMENT = "prompts are not refined"

# The picture is stored beside the body, so a stored job has no second copy in it.
OnePicture = Annotated[
    tuple[str, ...],
    BeforeValidator(listed),
    one_or_many(1),
    Field(max_length=1, exclude=True),
]
"""One picture, alone or in a list: an address, or a file in base64."""


class SourcesBody(TextBody):
    """The fields that say what to show."""

    prompt: Prompt = Field(
        "",
        description="What to show. Beside images: what to take from the picture. Beside a structured_prompt:"
        " how to change it.",
        examples=["a red balloon over a lake"],
    )
    images: OnePicture = Field(
        (),
        description="One picture that inspires the new one: a model describes it, and the description is part"
        " of the structured prompt.",
    )
    image_url: OnePicture = Field((), description="Another name for images, which programs send.")
    structured_prompt: Structured = Field(
        "",
        description="The JSON text of an earlier result, or one like it; with the seed of that result, and the"
        " same other fields, it makes the same picture.",
    )
    model_version: str = Field(
        _MODEL, max_length=64, description=f"Accepted; other values than {_MODEL} give a warning."
    )
    visual_input_content_moderation: bool = Field(
        True, description="Refuse inappropriate input with 422."
    )

    @property
    def warning(self) -> str | None:
        """What the caller asked for that has no effect."""
        texts = [text for text in [super().warning] if text]
        if self.model_version != _MODEL:
            texts.append("model_version: this server's profile chooses the model.")
        return " ".join(texts) or None


class StructuredPromptResult(BaseModel):
    """The structured prompt of a request."""

    seed: int = Field(
        description="With this seed the same request gives the same result.", examples=[12345]
    )
    structured_prompt: str = Field(
        description="JSON text; with it instead of the words, and the same seed and other fields, generate makes"
        " the same picture.",
        examples=['{"short_description": "a red balloon over a lake"}'],
    )


async def gather(body: SourcesBody, intake: Intake) -> Mapping[str, Encoded]:
    """Return the picture, if one is sent."""
    name, sent = ("images", body.images) if body.images else ("image_url", body.image_url)
    pictures = await gather_listed(numbered(name, sent), name, partial(in_v2, IMAGE), intake)
    return {"image": pictures[0]} if pictures else {}


def check(body: SourcesBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse nothing to go by, a picture beside a structured prompt, and one that a prompt makes too long."""
    if not (body.prompt or pictures or body.structured_prompt):
        raise BadRequestError("Send a prompt, images or a structured_prompt.", "prompt")
    if pictures and body.structured_prompt:
        raise BadRequestError(
            "Send either images or a structured_prompt, and not both.", "structured_prompt"
        )
    if body.structured_prompt and len(_given(body)) > MAX_STRUCTURED:
        raise TooLargeError(
            f"The structured_prompt would have more than {MAX_STRUCTURED} characters.", "prompt"
        )


def prepare(body: Any, inputs: Inputs, _: Models) -> Any:
    """Return the body; raises NothingVisibleError if nothing of the picture is visible."""
    for picture in inputs.pictures.values():
        check_visible(picture)
    return body


def captioning_for(inputs: Inputs) -> Collection[Role[Any]]:
    """Return the role that describes the picture of a request, if it has one."""
    return [CAPTIONING] if inputs.pictures else []


def structured_of(body: SourcesBody, inputs: Inputs, models: Models, style: str = "") -> str:
    """Return the structured prompt of a request. style: replaces its artistic style, if any is asked for."""
    structured = _given(body)
    if not structured:
        structured = structured_prompt(body.prompt, models, list(inputs.pictures.values()))
    return with_style(structured, style) if style else structured


def _given(body: SourcesBody) -> str:
    """Return the structured prompt that the caller sent, with the change that the prompt is; "" without one."""
    if not (body.structured_prompt and body.prompt):
        return body.structured_prompt
    return with_change(body.structured_prompt, body.prompt)
