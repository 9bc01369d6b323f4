"""The fields of image expansion that place a picture on a canvas, in every version of the API."""

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from imaging.files.header import Probe
from imaging.resize import Size
from pipelines.common.placement_geometry import MAX_CANVAS_AREA, Layout, layout_for_ratio, placement
from server.http.uploads import Encoded
from server.operation import MAX_RESULT_PIXELS

RatioName = Literal["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9"]
RATIO_NAMES: tuple[str, ...] = get_args(RatioName)
MIN_RATIO, MAX_RATIO = 0.5, 3.0
"""Bounds of an aspect ratio that is a number, width / height."""
_DECIMAL = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,20})?", re.ASCII)
"""A number as text; `float` alone would also read 1e0, 0_1 and digits of other scripts."""
_MAX_DISTANCE = 100_000
"""Largest coordinate and side of the image, in pixels; real pictures need less."""
_MAX_TEXT = 100
_PLACED = ("canvas_size", "original_image_size", "original_image_location")
"""The fields that an aspect ratio replaces."""


def _whole_numbers(value: Any) -> Any:
    """Return numbers that a form sends as text, `[1200, 674]` or `1200,674`, as a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        try:
            return json.loads(f"[{value.strip().removeprefix('[').removesuffix(']')}]")
        except (ValueError, RecursionError):
            return value
    return value


FormPair = BeforeValidator(_whole_numbers)
"""Reads numbers in a list, also from the text that a form sends."""


def _ratio(value: Any) -> str | float:
    """Return one of the names, or a number within the bounds; a form sends a number as text."""
    if isinstance(value, str) and (name := value.strip()) in RATIO_NAMES:
        return name
    number = _number(value)
    if number is None or not MIN_RATIO <= number <= MAX_RATIO:
        raise ValueError(
            f"the possible values are {', '.join(RATIO_NAMES)}, and numbers from {MIN_RATIO} to {MAX_RATIO}"
        )
    return float(number)


def _number(value: Any) -> float | None:
    """Return a number, also one that is written as text, or None for what is none, such as a boolean."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) else None


def exact_ratio(value: str | float) -> Fraction:
    """Return width / height of a validated aspect ratio; a decimal as it is written, 1.1 as 11/10."""
    if isinstance(value, str):
        width, height = value.split(":")
        return Fraction(int(width), int(height))
    return Fraction(repr(value))


def _within_canvas(value: Size) -> Size:
    if value[0] * value[1] > MAX_CANVAS_AREA:
        raise ValueError("the canvas may have an area of at most 5000 x 5000 pixels")
    return value


def _within_result(value: Size) -> Size:
    if value[0] * value[1] > MAX_RESULT_PIXELS:
        raise ValueError("the image may have an area of at most 8192 x 8192 pixels")
    return value


Side = Annotated[int, Field(ge=1, le=MAX_RESULT_PIXELS)]
Coordinate = Annotated[int, Field(ge=-_MAX_DISTANCE, le=_MAX_DISTANCE)]
CanvasSize = Annotated[
    tuple[Side, Side], BeforeValidator(_whole_numbers), AfterValidator(_within_canvas)
]
ImageSide = Annotated[int, Field(ge=1, le=_MAX_DISTANCE)]
ImageSize = Annotated[
    tuple[ImageSide, ImageSide], BeforeValidator(_whole_numbers), AfterValidator(_within_result)
]
ImageLocation = Annotated[tuple[Coordinate, Coordinate], BeforeValidator(_whole_numbers)]
PaddingSide = Annotated[int, Field(ge=0, le=_MAX_DISTANCE)]
PaddingValues = Annotated[
    tuple[PaddingSide, PaddingSide, PaddingSide, PaddingSide], BeforeValidator(_whole_numbers)
]
"""Pixels at the left, at the right, at the top and at the bottom."""
RatioNumber = Annotated[float, Field(ge=MIN_RATIO, le=MAX_RATIO)]
AspectRatio = Annotated[RatioName | RatioNumber, BeforeValidator(_ratio)]
"""A name or a number of width / height, as a caller sends it."""


class ExpansionGeometry(BaseModel):
    """The canvas and the place of the image on it; a base of the bodies of image expansion."""

    aspect_ratio: AspectRatio | None = Field(
        None,
        description="Width / height of the result: the image is centred and expanded on one axis."
        " canvas_size, original_image_size and original_image_location are then ignored. A result of more"
        " than 25,000,000 pixels is reduced to that.",
    )
    canvas_size: CanvasSize = Field(
        (1000, 1000), description="Width and height of the result.", examples=[[1200, 800]]
    )
    original_image_size: ImageSize | None = Field(
        None,
        description="Width and height of the image within the canvas.",
        examples=[[600, 400]],
    )
    original_image_location: ImageLocation | None = Field(
        None,
        description="Position of the image's upper left corner; it may be outside the canvas.",
        examples=[[300, 200]],
    )

    @model_validator(mode="before")
    @classmethod
    def _ignore_what_a_ratio_replaces(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or fields.get("aspect_ratio") is None:
            return fields
        return {name: value for name, value in fields.items() if name not in _PLACED}

    def layout(self, picture_size: Size) -> Layout:
        """Return the canvas, and the size and place on it, of a picture of this width and height."""
        if self.aspect_ratio is not None:
            return layout_for_ratio(picture_size, exact_ratio(self.aspect_ratio))
        return Layout(self.canvas_size, self.original_image_size, self.original_image_location)


def check_placement(body: ExpansionGeometry, pictures: Mapping[str, Encoded]) -> None:
    """Raise OutsideCanvasError for a location at which no part of the image is on the canvas."""
    probe = pictures["image"].probe
    size = (probe.width, probe.height)
    placement(size, body.layout(size))


def longest_side(body: ExpansionGeometry, probe: Probe) -> int:
    """Return the longest side of the canvas, in pixels."""
    return max(body.layout((probe.width, probe.height)).canvas_size)
