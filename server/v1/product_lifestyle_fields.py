"""The fields of the lifestyle shots of v1, and what both routes do with them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from imaging.files.header import Probe
from imaging.resize import Size
from models.roles import Models
from pipelines.background_replace import (
    Mode,
    Scene,
    background_colour,
    background_scene,
    mode_is_fast,
)
from pipelines.common.colours import Colour
from pipelines.common.placement_geometry import (
    MAX_CANVAS_AREA,
    POSITIONS,
    Layout,
    Position,
    layout_at,
    layout_in_ratio,
    layout_with_padding,
    placement,
)
from pipelines.common.subject import has_product_cut_out
from pipelines.errors import CropTooLargeError, OutsideCanvasError, PaddingTooLargeError
from pipelines.lifestyle_shot import lifestyle_shots
from server.errors import BadRequestError, Refusals, TooLargeError
from server.geometry_fields import (
    AspectRatio,
    CanvasSize,
    ImageLocation,
    ImageSize,
    PaddingValues,
    exact_ratio,
)
from server.http.uploads import Encoded
from server.listed_pictures import parsed_list
from server.operation import (
    MAX_SEED,
    MIN_SEED,
    Delivered,
    Inputs,
    Results,
    Seed,
    random_seed,
    seeds_of,
)
from server.shared_fields import ABOUT_MODE
from server.v1.product_fields import ProductBody
from server.v1.seeded_results import SeededShots, seeded_results

MAX_RESULTS = 8
"""Results for each place of the product; storefronts offer up to eight. Ten places make up to 80 results."""
MAX_PIXELS = 16 * MAX_CANVAS_AREA
"""Pixels of all results of a request together: 80 of 2,000 x 2,000 fit, the largest that storefronts offer."""
MAX_TEXT = 10_000
"""Longest description, in characters; the published page suggests up to 110 words."""
PlacementType = Literal[
    "original",
    "automatic",
    "manual_placement",
    "manual_padding",
    "custom_coordinates",
    "automatic_aspect_ratio",
]
_USED: Mapping[str, frozenset[str]] = {
    "original": frozenset({"original_quality"}),
    "automatic": frozenset({"shot_size"}),
    "manual_placement": frozenset({"shot_size", "manual_placement_selection"}),
    "manual_padding": frozenset({"padding_values"}),
    "custom_coordinates": frozenset(
        {"shot_size", "foreground_image_size", "foreground_image_location"}
    ),
    "automatic_aspect_ratio": frozenset({"aspect_ratio"}),
}
"""By placement type: the fields of geometry that count; all others are ignored, whatever they hold."""
_GEOMETRY = frozenset[str]().union(*_USED.values())

REFUSALS: Refusals = {
    OutsideCanvasError: (
        BadRequestError,
        "foreground_image_location leaves nothing of the product",
    ),
    PaddingTooLargeError: (BadRequestError, "padding_values"),
    CropTooLargeError: (TooLargeError, "The product is too large"),
}


_ONE = {"type": "string", "enum": list(POSITIONS)}
_ONE_OR_MANY = {"anyOf": [_ONE, {"type": "array", "items": _ONE, "maxItems": len(POSITIONS)}]}


def _positions(value: Any) -> Any:
    """Return positions that are sent as one text, as JSON or with commas between them, as a list."""
    value = parsed_list(value)
    return value.replace(" ", "").split(",") if isinstance(value, str) else value


class LifestyleBody(ProductBody):
    """The fields that both lifestyle shots take."""

    sync: bool = Field(False, description="Wait for the results; false answers with links at once.")
    mode: Mode | None = Field(None, description=ABOUT_MODE, json_schema_extra={"default": "fast"})
    fast: bool | None = Field(
        None, description="The older form of mode, for a request without it: false is high_control."
    )
    exclude_elements: str = Field(
        "",
        max_length=MAX_TEXT,
        description="What must not be generated; only if the mode is not fast.",
    )
    num_results: int = Field(
        4,
        ge=1,
        le=MAX_RESULTS,
        description="How many results there are for each place of the product: 4 give 40 if the placement is"
        " automatic. On a plain colour they are copies of one picture.",
    )
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="Seed of the first result at each place; each further one there has the next number.",
    )
    placement_type: PlacementType = Field(
        "original",
        description="original: the product keeps its place in the picture. automatic: one result for each of"
        " the ten positions. manual_placement: the positions of manual_placement_selection. manual_padding: the"
        " product at its own size with padding_values around it. custom_coordinates: foreground_image_size and"
        " foreground_image_location. automatic_aspect_ratio: in the middle of a canvas of aspect_ratio. Fields"
        " that the type does not name are ignored.",
    )
    original_quality: bool = Field(
        False,
        description="With original: keep the picture's size; otherwise about one megapixel.",
    )
    aspect_ratio: AspectRatio | None = Field(
        None,
        description="With automatic_aspect_ratio, which needs it: width / height of the result, which has about"
        " one megapixel.",
        examples=["4:3"],
    )
    shot_size: CanvasSize = Field(
        (1000, 1000),
        description="With automatic, manual_placement and custom_coordinates: width and height of the result.",
        examples=[[900, 550]],
    )
    foreground_image_size: ImageSize | None = Field(
        None,
        description="With custom_coordinates: width and height of the cropped product; by default its own,"
        " reduced if the shot is smaller.",
        examples=[[500, 500]],
    )
    foreground_image_location: ImageLocation | None = Field(
        None,
        description="With custom_coordinates: position of the product's upper left corner, by default such that"
        " it is centred. It may be outside the shot; what is outside is cut off.",
        examples=[[100, 100]],
    )
    manual_placement_selection: Annotated[
        tuple[Position, ...],
        BeforeValidator(_positions),
        Field(min_length=1),
        WithJsonSchema(_ONE_OR_MANY),
    ] = Field(
        ("upper_left",),
        max_length=len(POSITIONS),
        description="With manual_placement: the positions, one or several.",
        examples=[["upper_center", "bottom_center"]],
    )
    padding_values: PaddingValues = Field(
        (0, 0, 0, 0),
        description="With manual_padding: pixels at the left, at the right, at the top and at the bottom.",
        examples=[[20, 30, 20, 30]],
    )

    @model_validator(mode="before")
    @classmethod
    def _ignore_what_does_not_count(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        used = _USED.get(str(fields.get("placement_type", "original")))
        if used is None:  # the field itself is refused
            return fields
        return {n: value for n, value in fields.items() if n not in _GEOMETRY or n in used}

    @property
    def is_fast(self) -> bool:
        """Whether the scene is made in the mode fast."""
        return self.fast is not False if self.mode is None else mode_is_fast(self.mode)

    @property
    def positions(self) -> Sequence[Position]:
        """The named positions that are asked for; none if the placement is of another type."""
        if self.placement_type == "automatic":
            return POSITIONS
        is_manual = self.placement_type == "manual_placement"
        return self.manual_placement_selection if is_manual else ()

    @property
    def places(self) -> int:
        """In how many places the product is shown."""
        return len(self.positions) or 1

    def layouts(self, product_size: Size) -> Sequence[Layout]:
        """Return the layouts of a product of this width and height; not for the type original."""
        if self.positions:
            return [layout_at(product_size, place, self.shot_size) for place in self.positions]
        if self.placement_type == "manual_padding":
            return [layout_with_padding(product_size, self.padding_values)]
        if self.aspect_ratio is not None:
            return [layout_in_ratio(product_size, exact_ratio(self.aspect_ratio))]
        return [Layout(self.shot_size, self.foreground_image_size, self.foreground_image_location)]

    def seeds(self) -> Sequence[Seed]:
        """Return the seed of each result: those of the first place, then of the next."""
        return [*seeds_of(self.seed, self.num_results)] * self.places


def check_geometry(body: LifestyleBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse what no product in this picture could fit: sizes, places and paddings."""
    kind = body.placement_type
    if kind == "automatic_aspect_ratio" and body.aspect_ratio is None:
        raise BadRequestError("automatic_aspect_ratio needs aspect_ratio.", "aspect_ratio")
    area = body.shot_size[0] * body.shot_size[1]
    if area * body.places * body.num_results > MAX_PIXELS:
        raise BadRequestError(
            f"{body.places * body.num_results} results of this shot_size have more than"
            f" {MAX_PIXELS} pixels together; ask for fewer or smaller ones.",
            "shot_size",
        )
    if kind == "manual_padding":
        layout_with_padding((1, 1), body.padding_values)
    elif kind == "custom_coordinates":
        # The product is at most as large as the picture, so what is outside then is outside in any case.
        probe = pictures["image"].probe
        largest = (
            min(probe.width, body.shot_size[0]),
            min(probe.height, body.shot_size[1]),
        )
        placement(largest, *body.layouts(largest))


def longest_side(body: LifestyleBody, probe: Probe) -> int:
    """Return the longest side that a result can have, in pixels."""
    width, height = probe.width, probe.height
    if body.placement_type == "original":
        return max(width, height)
    if body.placement_type == "manual_padding":
        left, right, top, bottom = body.padding_values
        return max(left + width + right, top + height + bottom)
    return max(max(layout.canvas_size) for layout in body.layouts((width, height)))


def shots(
    body: LifestyleBody, inputs: Inputs, models: Models, background: Colour | Scene
) -> Results:
    """Return the product in every place, once for each seed."""
    seeds = seeds_of(body.seed, body.num_results)
    if body.placement_type != "original":
        options = (body.layouts, seeds, body.force_rmbg)
        return Results(lifestyle_shots(inputs.image, models, background, *options))
    quality = (body.original_quality, body.force_rmbg, has_product_cut_out)
    if isinstance(background, Scene):
        return Results(background_scene(inputs.image, models, background, seeds, *quality).pictures)
    return Results([background_colour(inputs.image, models, background, *quality)] * len(seeds))


def respond(body: LifestyleBody, delivered: Delivered) -> SeededShots:
    """Return the answer with each result's link, seed and file name, and the links alone."""
    result = seeded_results(delivered, body.seeds()).result
    return SeededShots(result=result, urls=[link for link, _, _ in result])
