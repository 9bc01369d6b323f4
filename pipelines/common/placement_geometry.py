"""Where a picture is placed on a larger canvas, and how large that canvas is for an aspect ratio.

Sizes are width and height in pixels, locations are x and y of the upper left corner.
"""

import math
from fractions import Fraction
from typing import NamedTuple

from imaging.picture import Window
from imaging.resize import Size, scaled
from pipelines.errors import OutsideCanvasError

Location = tuple[int, int]

MAX_CANVAS_AREA = 25_000_000
"""Largest canvas, in pixels: 5000 x 5000, from the published page."""


class Layout(NamedTuple):
    """A canvas, and the size and place of a picture on it.

    None: the picture keeps its size, is reduced only if the canvas is smaller, and is centred.
    """

    canvas_size: Size
    original_image_size: Size | None = None
    original_image_location: Location | None = None


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
    size = layout.original_image_size or _fitted_size(picture_size, layout.canvas_size)
    left, top = layout.original_image_location or ((width - size[0]) // 2, (height - size[1]) // 2)
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
