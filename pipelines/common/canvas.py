"""Between a picture of any size and a model that works at its own: crop, scale, pad, and paste back."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule, resize, working_size

_CONTEXT = 0.5
"""How much of a hole's longer side is shown around it, at least, so that the model sees where it is."""
_LEAST_SHARE = 0.15
"""Share of the crop that a hole has at most by design: fills look best on 15 % and more."""
_FEATHER = 0.01
"""Width of the seam inside a hole, as a share of the crop's shorter side."""

Weight = NDArray[np.uint8]
"""Height x width: how much of the new pixels is taken, 0..255."""
Box = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True)
class Work:
    """A part of a picture at a model's size.

    rgb: the part, scaled. hole: its hole, scaled; never smaller than the true one. box: where the part
    lies in the picture.
    """

    rgb: Rgb
    hole: Mask
    box: Box


def around(hole: Mask) -> Box:
    """Give the box around a hole with the context that a model needs to see.

    The hole takes at least 15 % of the box where the picture is large enough for context at all.
    """
    height, width = hole.shape
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    if not rows.size:
        return slice(0, height), slice(0, width)
    tall, wide = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    side = max(tall, wide)
    room = max(side * (1 + 2 * _CONTEXT), min((tall * wide / _LEAST_SHARE) ** 0.5, 2 * side))
    return (
        _span(rows[0], rows[-1] + 1, round(room), height),
        _span(columns[0], columns[-1] + 1, round(room), width),
    )


def _span(start: int, stop: int, length: int, limit: int) -> slice:
    """Widen start..stop to `length`, its middle kept where the limit allows."""
    length = min(max(length, stop - start), limit)
    first = min(max(0, (start + stop - length) // 2), limit - length)
    return slice(int(first), int(first + length))


def cut(rgb: Rgb, hole: Mask, sizes: SizeRule, box: Box | None = None) -> Work:
    """Cut a picture's part around its hole (or `box`) and bring it to the model's size."""
    box = box or around(hole)
    part, part_hole = rgb[box], hole[box]
    size = working_size(part.shape[1], part.shape[0], sizes)
    # Any touch counts: a pixel the model may not change must not be half inside the hole.
    share = resize(part_hole.astype(np.uint8) * np.uint8(255), size)
    return Work(resize(part, size), share > 0, box)


def paste(rgb: Rgb, hole: Mask, box: Box, made: Rgb) -> Rgb:
    """Put what a model made back into the hole, at the picture's own size.

    made: the box at any size. Outside the hole the result is `rgb`, bit for bit; the seam is blended
    inside the hole.
    """
    result = rgb.copy()
    part, part_hole = result[box], hole[box]
    height, width = part_hole.shape
    fresh = resize(made, (width, height))
    weight = seam(part_hole)
    result[box] = blend(part, fresh, weight)
    return result


def seam(hole: Mask) -> Weight:
    """Give how much of the new pixels a hole takes, 0..255: 0 outside, rising to 255 inside it.

    Borders of the picture are no seam.
    """
    feather = max(1.0, _FEATHER * min(hole.shape))
    if hole.all():
        return np.full(hole.shape, 255, np.uint8)
    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    # The first pixel inside is 1 away: it takes a part already, so that a hole of one pixel is filled.
    weight = np.clip((inside + 1) / (feather + 1), 0, 1) * 255
    weight[~hole] = 0
    rounded: Weight = weight.round().astype(np.uint8)
    return rounded


def blend(old: Rgb, new: Rgb, weight: Weight) -> Rgb:
    """Mix two pictures: `old` where the weight is 0, `new` where it is 255, both bit for bit."""
    share = weight[..., None].astype(np.uint16)
    mixed = new * share + old * (255 - share) + 127
    return (mixed // 255).astype(np.uint8)


def seeds_from(seed: int, count: int) -> Sequence[int]:
    """Give the seed of each result: the first is the request's own, each further one the next."""
    return range(seed, seed + count)
