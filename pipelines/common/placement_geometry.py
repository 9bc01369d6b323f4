"""Where a picture is placed on a canvas: one geometry of image expansion and of product shots.

Sizes are width and height in pixels, locations are x and y of the upper left corner. A product is a
picture too: a cut-out, cropped to what is visible of it. The rules of product shots and their reasons are in
docs/decisions/0021-placement.md.
"""

import math
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

from imaging.picture import Window
from imaging.resize import Size, scaled
from pipelines.errors import OutsideCanvasError, PaddingTooLargeError

Location = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Pixels at the left, at the right, at the top and at the bottom, 0 or more each."""

MAX_CANVAS_AREA = 25_000_000
"""Largest canvas, in pixels: 5000 x 5000, from the published page."""


Position = Literal[
    "upper_left",
    "upper_right",
    "bottom_left",
    "bottom_right",
    "right_center",
    "left_center",
    "upper_center",
    "bottom_center",
    "center_vertical",
    "center_horizontal",
]
"""A place of a product on a canvas, as the API names it."""
POSITIONS: tuple[Position, ...] = get_args(Position)
SHOT_AREA = 1_000_000
"""Pixels of a product shot whose size follows from an aspect ratio: the published page advises so many."""

_MARGIN = Fraction(1, 20)
"""Share of a canvas's side that stays free along each of its edges."""
_IN_RATIO = Fraction(4, 5)
"""Share of a canvas's side that a product may fill in the middle of a canvas of a given ratio."""
_DENOMINATOR = 100
_AT_EDGE = (Fraction(3, 5), Fraction(3, 5))
_BOXES = {
    "center_vertical": (Fraction(1, 2), Fraction(1)),
    "center_horizontal": (Fraction(1), Fraction(3, 5)),
}
"""Width and height of the box that a product fills, as shares of the canvas without its margins: a tall box and
a wide one in the middle, a smaller one at the edges and corners."""


class Layout(NamedTuple):
    """A canvas, and the size and place of a picture on it.

    None: the picture keeps its size, is reduced only if the canvas is smaller, and is centred.
    """

    canvas_size: Size
    size: Size | None = None
    location: Location | None = None


def layout_at(product_size: Size, position: Position, canvas_size: Size) -> Layout:
    """Return the layout of a product that fills the box of a position, at its own ratio.

    It may be enlarged. It touches the margin on the sides that the position names, and is centred
    otherwise; an odd pixel is at the right or at the bottom.
    """
    margins = tuple(math.floor(side * _MARGIN) for side in canvas_size)
    inner = tuple(side - 2 * margin for side, margin in zip(canvas_size, margins, strict=True))
    shares = _BOXES.get(position, _AT_EDGE)
    size = _filled(product_size, inner[0] * shares[0], inner[1] * shares[1])
    left, top = ((side - own) // 2 for side, own in zip(canvas_size, size, strict=True))
    words = position.split("_")
    if "left" in words:
        left = margins[0]
    elif "right" in words:
        left = canvas_size[0] - margins[0] - size[0]
    if "upper" in words:
        top = margins[1]
    elif "bottom" in words:
        top = canvas_size[1] - margins[1] - size[1]
    return Layout(canvas_size, size, (left, top))


def layout_with_padding(product_size: Size, padding: Padding) -> Layout:
    """Return the layout of a product at its own size, with a padding around it.

    Raises PaddingTooLargeError if the canvas would have more than MAX_CANVAS_AREA pixels.
    """
    left, right, top, bottom = padding
    width, height = left + product_size[0] + right, top + product_size[1] + bottom
    if width * height > MAX_CANVAS_AREA:
        raise PaddingTooLargeError(
            f"the product has {product_size[0]} x {product_size[1]} pixels; with its padding the shot"
            f" would have {width} x {height}, which is more than {MAX_CANVAS_AREA} pixels"
        )
    return Layout((width, height), product_size, (left, top))


def layout_in_ratio(product_size: Size, ratio: Fraction, area: int = SHOT_AREA) -> Layout:
    """Return the layout of a product in the middle of a canvas of a ratio and about `area` pixels.

    The ratio is exact, or the nearest one with a denominator of at most 100: 1.333333 is 4:3.

    The product fills the middle 80 % of the canvas, at its own ratio.
    """
    ratio = ratio.limit_denominator(_DENOMINATOR)
    unit = max(1, round(math.sqrt(area / (ratio.numerator * ratio.denominator))))
    canvas = (ratio.numerator * unit, ratio.denominator * unit)
    size = _filled(product_size, canvas[0] * _IN_RATIO, canvas[1] * _IN_RATIO)
    return Layout(canvas, size, ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2))


def _filled(size: Size, width: Fraction, height: Fraction) -> Size:
    """Return the largest size of the ratio of `size` that fits into a box; each side is at least 1."""
    factor = min(width / size[0], height / size[1])
    return max(1, math.floor(size[0] * factor)), max(1, math.floor(size[1] * factor))


def layout_for_ratio(
    picture_size: Size, ratio: Fraction, max_area: int = MAX_CANVAS_AREA
) -> Layout:
    """Return the layout that grows a picture on one axis until width / height is `ratio`.

    The new side is the nearest whole number of pixels, a half rounded up, so that it is never below
    the picture's. If it is the picture's own, nothing is added. The picture is centred; an odd pixel
    is added at the right or at the bottom. A canvas of more than `max_area` pixels is reduced to the
    largest one of the ratio, the picture with it, each side to at least one pixel.
    """
    width, height = picture_size
    if Fraction(width, height) < ratio:
        canvas = (_nearest(height * ratio), height)
    else:
        canvas = (width, _nearest(width / ratio))
    size = picture_size
    if canvas[0] * canvas[1] > max_area:
        reduced = _largest(Fraction(*canvas), max_area)
        size = (
            _reduced_side(width, canvas[0], reduced[0]),
            _reduced_side(height, canvas[1], reduced[1]),
        )
        canvas = reduced
    return Layout(canvas, size, ((canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2))


def _nearest(value: Fraction) -> int:
    """Return the nearest whole number, a half rounded up, and at least 1."""
    return max(1, math.floor(value + Fraction(1, 2)))


def _largest(ratio: Fraction, area: int) -> Size:
    """Return the largest size of a ratio with at most `area` pixels; each side has at least one pixel."""
    height = min(area, max(1, math.isqrt(math.floor(area / ratio))))
    return max(1, min(_nearest(height * ratio), area // height)), height


def _reduced_side(side: int, canvas_side: int, reduced_side: int) -> int:
    """Return a picture's side after its canvas was reduced; a side that filled the canvas still does."""
    return _nearest(Fraction(side * reduced_side, canvas_side))


def placement(picture_size: Size, layout: Layout) -> tuple[Size, Location, Window]:
    """Return a picture's size and upper left corner (x, y) on the canvas, and its visible part.

    The visible part is rows and columns of the canvas. Raises OutsideCanvasError if no part is
    visible.
    """
    width, height = layout.canvas_size
    size = layout.size or _fitted_size(picture_size, layout.canvas_size)
    left, top = layout.location or ((width - size[0]) // 2, (height - size[1]) // 2)
    window = (
        slice(max(top, 0), min(top + size[1], height)),
        slice(max(left, 0), min(left + size[0], width)),
    )
    if window[0].start >= window[0].stop or window[1].start >= window[1].stop:
        raise OutsideCanvasError(
            f"at {left},{top} a picture of {size[0]}x{size[1]} lies outside "
            f"the {width}x{height} canvas"
        )
    return size, (left, top), window


def _fitted_size(picture_size: Size, canvas_size: Size) -> Size:
    """Return the picture's size, reduced to fit into the canvas if it is larger."""
    (width, height), (canvas_width, canvas_height) = picture_size, canvas_size
    ratio = min(1.0, canvas_width / width, canvas_height / height)
    return scaled(width, height, ratio)
