"""POST /v1/text-to-image/base, fast and hd: generate pictures from a prompt."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from imaging.picture import Picture
from models.roles import INSTRUCTION_EDITING, PROMPT_REFINEMENT, Models
from pipelines.common.prompts import refined
from pipelines.edit_by_words import Words
from pipelines.text_to_image import (
    Guide,
    Medium,
    Resolution,
    full_prompt,
    result_size,
    text_to_image,
)
from server.errors import BadRequestError
from server.geometry_fields import RatioName, exact_ratio
from server.http.uploads import Encoded, PictureRule
from server.operation import (
    EXAMPLE_LINK,
    MAX_SEED,
    MIN_SEED,
    Delivered,
    EditBody,
    Inputs,
    Operation,
    Preserve,
    Seed,
    random_seed,
    seeds_of,
)

BLOCKED = "422_image_blocked_due_to_content_moderation"
"""Replaces the link of a result that moderation blocked, as in gen_fill."""
_ANY_SEED = (-1, "-1")
"""Programs send this for a seed of the server's choice."""
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GUIDANCE = 5.0
_RICHER = 1.5
"""The multiple of the steps with enhance_image."""
_METHODS = ("guidance_method_1", "guidance_method_2")
_EXAMPLE = "image_prompt"
"""The names of the pictures that guide a result, and of their fields."""

GuidanceMethod = Literal[
    "controlnet_canny", "controlnet_depth", "controlnet_recoloring", "controlnet_color_grid"
]
Scale = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _word(value: str) -> str:
    if not _VERSION.fullmatch(value):
        raise ValueError("it may have letters, digits, dots and dashes, such as 2.2")
    return value


def _seed(value: Any) -> Any:
    return random_seed() if value in _ANY_SEED else value


class TextToImageBody(EditBody):
    """The fields of the three routes; fast has fewer steps."""

    model_version: Annotated[str, AfterValidator(_word)] = Field(
        max_length=32,
        description="Any version: this server's profile chooses the model.",
        examples=["2.2"],
    )
    sync: bool = Field(False, description="Wait for the results; false answers with links at once.")
    prompt: str = Field(
        min_length=1, max_length=10_000, description="What to show.", examples=["a red balloon"]
    )
    negative_prompt: str = Field("", max_length=10_000, description="What must not be visible.")
    num_results: int = Field(4, ge=1, le=4, description="How many pictures are generated.")
    aspect_ratio: RatioName = Field(
        "1:1", description="Width : height of the results, unless a guidance method has a picture."
    )
    seed: Annotated[Seed, BeforeValidator(_seed)] = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="Seed of the first result; each further result has the next number. -1 is a random one.",
    )
    steps_num: int = Field(
        30,
        ge=20,
        le=50,
        description="How much work to put in. The default is the model's own number of steps, other values are"
        " in proportion to it.",
    )
    text_guidance_scale: float = Field(
        _GUIDANCE,
        ge=1,
        le=10,
        allow_inf_nan=False,
        description="How closely to follow the prompt. 5 is the model's own guidance; a model that was made"
        " to need none ignores it, unless a negative_prompt is sent.",
    )
    medium: Medium | None = Field(None, description="A photograph or a work of art.")
    prompt_enhancement: bool = Field(
        False, description="Refine the prompt with a language model, if the profile has one."
    )
    enhance_image: bool = Field(False, description="Half as many steps more, for finer detail.")
    ip_signal: bool = Field(False, description="Accepted; this server knows no protected things.")
    guidance_method_1: GuidanceMethod | None = Field(
        None, description="What the result takes from the first guidance picture."
    )
    guidance_method_1_scale: Scale = Field(
        1.0, description="0 leaves the picture out; the model is shown it with any other value."
    )
    guidance_method_2: GuidanceMethod | None = Field(
        None, description="What the result takes from the second guidance picture."
    )
    guidance_method_2_scale: Scale = Field(1.0, description="As of the first.")
    image_prompt_mode: Literal["regular", "style_only"] = Field(
        "regular", description="Whether the picture of the image prompt gives its style alone."
    )
    image_prompt_scale: Scale = Field(1.0, description="As of a guidance method.")


class FastBody(TextToImageBody):
    """The fields of text-to-image/fast."""

    steps_num: int = Field(
        8,
        ge=4,
        le=10,
        description="How much work to put in. The default is the model's own number of steps, other values are"
        " in proportion to it.",
    )


class Generated(BaseModel):
    """One result."""

    urls: list[str] = Field(description="Its address alone.", examples=[[EXAMPLE_LINK]])
    seed: int = Field(examples=[12345])
    uuid: str = Field(
        description="The name of its file.", examples=["7d0c61b2f0a94f4b8f0f1f2d3c4b5a69"]
    )


class TextToImageAnswer(BaseModel):
    """The address and the seed of each result."""

    result: list[Generated]


def _picture(name: str, urls: tuple[str, ...], file: str) -> PictureRule:
    return PictureRule(name, urls, (file,), required=False)


PICTURES = (
    *(_picture(name, (), f"{name}_image_file") for name in _METHODS),
    _picture(_EXAMPLE, (f"{_EXAMPLE}_urls",), f"{_EXAMPLE}_file"),
)


def check(body: TextToImageBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse a guidance method without its picture, and a picture without its method."""
    for name in _METHODS:
        if (getattr(body, name) is None) != (name not in pictures):
            raise BadRequestError(
                f"{name} and {name}_image_file belong together: send both or neither.", name
            )


def _guides(body: TextToImageBody, inputs: Inputs) -> dict[str, Guide]:
    """Return what each picture is for, by its name, in the order in which the model sees them."""
    sent = {name: getattr(body, name) for name in _METHODS} | {_EXAMPLE: body.image_prompt_mode}
    return {
        name: guide
        for name, guide in sent.items()
        if name in inputs.pictures and getattr(body, f"{name}_scale") > 0
    }


def _performer(
    resolution: Resolution, own_steps: int
) -> Callable[[TextToImageBody, Inputs, Models], list[Picture]]:
    """Return the work of a route. own_steps: the default of its steps_num."""

    def perform(body: TextToImageBody, inputs: Inputs, models: Models) -> list[Picture]:
        guides = _guides(body, inputs)
        prompt = (refined(body.prompt, models) if body.prompt_enhancement else None) or body.prompt
        words = Words(
            full_prompt(prompt, body.medium, list(guides.values())),
            body.negative_prompt,
            body.steps_num / own_steps * (_RICHER if body.enhance_image else 1),
            body.text_guidance_scale / _GUIDANCE,
        )
        ratio = exact_ratio(body.aspect_ratio)
        # The first guidance picture decides: a result of another shape cannot follow it.
        for guide in (inputs.pictures[name] for name in _METHODS if name in guides):
            ratio = Fraction(guide.width, guide.height)
            break
        seeds = seeds_of(body.seed, body.num_results)
        shown = [inputs.pictures[name] for name in guides]
        return text_to_image(models, words, seeds, result_size(ratio, resolution), shown)

    return perform


def respond(body: TextToImageBody, delivered: Delivered) -> TextToImageAnswer:
    """Return the answer with each result's link, seed and name."""
    seeds = seeds_of(body.seed, body.num_results)
    rows = zip(delivered.links, seeds, delivered.keys, strict=True)
    return TextToImageAnswer(
        result=[
            Generated(
                urls=[link or BLOCKED],
                seed=seed,
                uuid=key.rpartition("/")[2].partition(".")[0],
            )
            for link, seed, key in rows
        ]
    )


def _operation(
    name: str, body: type[TextToImageBody], resolution: Resolution
) -> Operation[TextToImageBody]:
    return Operation(
        path=f"/text-to-image/{name}/{{model_version}}",
        summary=f"Generate pictures ({name})",
        body=body,
        pictures=PICTURES,
        preserves=Preserve.PIXELS,
        check=check,
        needs=lambda models: (INSTRUCTION_EDITING,),
        without={PROMPT_REFINEMENT: "prompts are not refined"},
        perform=_performer(resolution, body.model_fields["steps_num"].default),
        count=lambda body: body.num_results,
        response=TextToImageAnswer,
        respond=respond,
    )


BASE = _operation("base", TextToImageBody, "1MP")
FAST = _operation("fast", FastBody, "1MP")
HD = _operation("hd", TextToImageBody, "HD")
