"""Where a cut-out stands: its parts, the line of the ground below each, and which columns touch it."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask

Line = NDArray[np.float32]
"""One number for each column."""

_LEAST_PART = 0.01
"""A part below this share of the largest part casts no shadow of its own."""
_MAX_PARTS = 16
"""Parts that may stand on the ground; the largest ones."""
_GAP = 0.01
"""Parts nearer than this share of the subject's size are one: a lid on glass, the links of a chain."""
_LEAST_FREE = 0.5
"""A part stands if at least this share of its columns has no other part below it."""
_TOUCH = 0.012
"""Height above the ground, as a share of a part's size, over which contact falls to a third."""
_SOLE_SLOPE, _LEG_SLOPE, _PART_SLOPE = 0.15, 0.8, 1.0
"""How steeply the ground may rise in the picture, rows per column: along one edge, from leg to leg as
seen from above, and from one part to another."""
FOOT = 0.5
"""Columns with more contact are a foot."""
_BEHIND = 1.4
"""How far the leg behind may be above the line between the outermost feet, as a multiple of its ideal place."""
_LEG_WIDTH, _TIP_WIDTH, _LEG_LENGTH = 0.15, 0.04, 0.04
"""Widest leg and tip, as shares of a part's width, and shortest leg, as one of its size."""


@dataclass(frozen=True)
class Standing:
    """One part that stands on the ground.

    mask: height x width. columns: those of the part. size: square root of its bounding box's area, in pixels.
    ground: the row of the ground for each column. lowest: the lowest row of the part for each column.
    contact: 0..1 for each column; 1 touches the ground. All three have one number for each of `columns`.
    """

    mask: Mask
    columns: slice
    size: float
    ground: Line
    lowest: Line
    contact: Line


def standing_parts(subject: Mask) -> Iterator[Standing]:
    """Yield the parts of a subject that stand on the ground, at most 16.

    subject: height x width, True is solid. A part above another one, such as the lid of a jar whose
    glass is not solid, does not stand.
    """
    parts = _parts(subject)
    bottom = _lowest(subject)
    reach = _cone(bottom, _PART_SLOPE)
    for part in parts:
        lowest = _lowest(part)
        has = lowest >= 0
        free = has & (lowest >= bottom - 0.5)
        if free.sum() < _LEAST_FREE * has.sum():
            continue
        at = int(np.argmax(np.where(free, lowest, -1)))
        columns = np.flatnonzero(has)
        span = slice(int(columns[0]), int(columns[-1]) + 1)
        rows = np.flatnonzero(part.any(axis=1))
        size = float(np.sqrt((span.stop - span.start) * (rows[-1] - rows[0] + 1)))
        if reach[at] - lowest[at] > max(2.0, _LEG_LENGTH * size):
            continue
        yield _standing(part, span, size, lowest[span])


def _parts(subject: Mask) -> list[Mask]:
    """Return the largest connected parts of a subject; parts that nearly touch are one."""
    height, width = subject.shape
    radius = max(1, round(_GAP * max(height, width)))
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    closed = cv2.dilate(subject.astype(np.uint8), kernel)
    _, labels, _, _ = cv2.connectedComponentsWithStats(closed)
    areas = np.bincount(labels[subject], minlength=1)
    areas[0] = 0
    order = np.argsort(areas)[::-1][:_MAX_PARTS]
    least = max(1.0, _LEAST_PART * float(areas.max(initial=0)))
    return [subject & (labels == index) for index in order if areas[index] >= least]


def _lowest(mask: Mask) -> Line:
    """Return the lowest True row of each column; -1 for none."""
    height = mask.shape[0]
    rows = height - 1 - np.argmax(mask[::-1], axis=0)
    return np.where(mask.any(axis=0), rows, -1).astype(np.float32)


def _cone(lowest: Line, slope: float) -> Line:
    """Return the ground that rises from the lowest rows by at most `slope`: nowhere above `lowest`."""
    at = np.arange(lowest.size, dtype=np.float32) * np.float32(slope)
    rising = np.maximum.accumulate(lowest + at) - at
    falling = np.maximum.accumulate((lowest - at)[::-1])[::-1] + at
    ground: Line = np.maximum(rising, falling).astype(np.float32)
    return ground


def _standing(part: Mask, columns: slice, size: float, lowest: Line) -> Standing:
    """Return where one part touches the ground, and the ground below it."""
    touch = max(0.75, _TOUCH * size)
    above = _cone(lowest, _SOLE_SLOPE) - lowest
    tips = _tips(lowest, size, touch)
    is_near = _cone(lowest, _LEG_SLOPE) - lowest <= touch
    contact = np.maximum(np.exp(-above / touch), tips * is_near)
    contact[lowest < 0] = 0
    feet = np.flatnonzero(contact > FOOT)
    ground = np.interp(np.arange(lowest.size), feet, lowest[feet])
    contact = np.maximum(contact, tips * _is_behind(lowest, feet))
    return Standing(
        part,
        columns,
        size,
        np.maximum(ground, lowest).astype(np.float32),
        lowest,
        contact.astype(np.float32),
    )


def _tips(lowest: Line, size: float, touch: float) -> Line:
    """Return how near each column is to the tip of a leg, 0..1.

    A leg is a narrow part of the outline that reaches further down than what is on both sides.
    """
    span = max(3, round(_LEG_WIDTH * lowest.size)) | 1
    row = np.pad(lowest, span, constant_values=-1)[None]
    opened = cv2.morphologyEx(row, cv2.MORPH_OPEN, np.ones((1, span), np.uint8))
    near = max(3, round(_TIP_WIDTH * lowest.size)) | 1
    tip = cv2.dilate(row, np.ones((1, near), np.uint8))[0, span:-span]
    is_leg = (row - opened)[0, span:-span] > _LEG_LENGTH * size
    return np.where(is_leg, np.exp(-(tip - lowest) / touch), 0).astype(np.float32)


def _is_behind(lowest: Line, feet: NDArray[np.intp]) -> Mask:
    """Return which columns may be the fourth leg, behind the line between the outermost feet.

    Seen from above, the feet in front and at the sides span half of a parallelogram; the leg behind is
    as far above the line between the outermost feet as the one in front is below it.
    """
    first, last = int(feet[0]), int(feet[-1])
    x = np.arange(lowest.size)
    line = np.interp(x, [first, last], lowest[[first, last]])
    depth = _BEHIND * max(0.0, float((lowest[feet] - line[feet]).max()))
    return np.asarray((x > first) & (x < last) & (line - lowest <= depth), np.bool_)
