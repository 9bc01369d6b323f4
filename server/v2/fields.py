"""The fields, pictures and results that the routes of v2 share."""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from models.roles import Models
from pipelines.common.opacity import check_visible
from server.http.uploads import (
    ALL_FORMATS,
    IMAGE,
    LIMITED_IMAGE,
    MASK,
    PHOTO_MODES,
    PictureRule,
)
from server.operation import (
    EXAMPLE_LINK,
    MAX_SEED,
    MIN_SEED,
    Delivered,
    Inputs,
    RequestBody,
    Seed,
    random_seed,
)

MAX_PROMPT = 10_000
"""Longest prompt, in characters; the published page suggests about 100 words."""


class V2Body(RequestBody):
    """The fields that every editing route of v2 takes, besides its pictures."""

    sync: bool = Field(
        False,
        description="Wait for the result; false answers with 202 and the address of its state.",
    )
    visual_input_content_moderation: bool = Field(
        False, description="Refuse inappropriate input with 422."
    )
    visual_output_content_moderation: bool = Field(
        False, description="Withhold an inappropriate result: 422."
    )

    @property
    def moderates_input(self) -> bool:
        """Whether a picture that the moderation model scores too high is refused."""
        return self.visual_input_content_moderation

    @property
    def moderates_output(self) -> bool:
        """Whether a result that the moderation model scores too high is withheld."""
        return self.visual_output_content_moderation


class V2AlphaBody(V2Body):
    """The fields of the routes whose results may have the alpha channel of their input."""

    preserve_alpha: bool = Field(
        True, description="Keep the transparency of the image; false makes the result opaque."
    )


_NO_TEXT_MODEL = (
    "prompt_content_moderation: this server has no model for text; no prompt is moderated."
)
_NO_NAMES = "ip_signal: this server does not look for protected names in prompts."
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT)]
"""Free text; one of spaces is as none."""


class SeedBody(V2Body):
    """The seed of the routes that have one."""

    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="The same seed gives the same result; random if absent.",
    )


class TextBody(SeedBody):
    """The fields about the text of the routes that take one."""

    prompt_content_moderation: bool = Field(
        True,
        description="Accepted: no model for text is part of any profile, so no prompt is refused."
        " If it is sent as true, the answer has a warning.",
    )
    ip_signal: bool = Field(
        False,
        description="Accepted: with true the answer has a warning that nothing is looked for.",
    )

    @property
    def warning(self) -> str | None:
        """What the caller asked for about the prompt that this server cannot do."""
        asked = "prompt_content_moderation" in self.model_fields_set
        texts = [_NO_TEXT_MODEL] if asked and self.prompt_content_moderation else []
        return " ".join(texts + [_NO_NAMES] * self.ip_signal) or None


class PromptBody(TextBody):
    """The fields of the routes that a prompt guides, besides the prompt itself."""

    negative_prompt: Prompt = Field("", description="What must not be generated.")


class ImageResult(BaseModel):
    """The result of every route with one picture."""

    image_url: str = Field(
        description="Address of the picture; it expires.", examples=[EXAMPLE_LINK]
    )


class SeedResult(ImageResult):
    """The result of a route with a seed."""

    seed: int = Field(
        description="With this seed the same request gives the same result.", examples=[12345]
    )


REFINED_PROMPT = Field(
    description="The prompt that a language model made of the caller's; null without one, or with"
    " refine_prompt=false.",
    examples=["a red balloon with a string, soft daylight"],
)


def seed_result(body: SeedBody, delivered: Delivered) -> SeedResult:
    """Return a result with the only link and the seed."""
    return SeedResult(image_url=str(delivered.links[0]), seed=body.seed)


def refuse_invisible(body: Any, inputs: Inputs, _: Models) -> Any:
    """Return the body; raises NothingVisibleError for a wholly transparent image to cut out."""
    if not getattr(body, "force_background_detection", False):  # it ignores alpha
        check_visible(inputs.image)
    return body


def image_result(_: object, delivered: Delivered) -> ImageResult:
    """Return a result with the only link."""
    return ImageResult(image_url=str(delivered.links[0]))


def in_v2(rule: PictureRule, name: str) -> PictureRule:
    """Return a rule of v1 for the one field of v2, which holds an address, base64 or a data: URL."""
    modes = None if rule.is_mask else PHOTO_MODES
    return replace(rule, url_fields=(), file_fields=(name,), formats=ALL_FORMATS, modes=modes)


V2_IMAGE = in_v2(IMAGE, "image")
V2_LIMITED_IMAGE = in_v2(LIMITED_IMAGE, "image")
"""The rule of the routes for which v1 limits the file."""
V2_MASK = in_v2(MASK, "mask")
