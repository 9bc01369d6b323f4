"""Ground focus: how far the ground around a standing subject is out of focus.

On a plane seen by a thin lens, the circle of confusion grows linearly with the distance, in rows of
the picture, from the row in focus: a point in row y lies at a depth proportional to 1 / (y - horizon),
and its circle is proportional to |1 - depth in focus / depth|.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha8

Defocus = NDArray[np.uint8]
"""Height x width, uint8: 0 in focus, 255 as far out of focus as the wall behind."""
_Plane = NDArray[np.float32]
_Integers = NDArray[np.intp]

_WORK_SIDE = 512
"""Longest side, in pixels, of the reduced picture in which contacts are found. The result is smooth."""
_SOLID = 127
"""Alpha above which a pixel belongs to the solid subject."""
_LEAST_SHARE = 0.03
"""Smaller parts of the subject, as a share of its largest part, are specks."""
_MOST_PARTS = 16
_FRAME = 0.01
"""A part that ends this near to the lower border, as a share of the height, leaves the picture there."""
_FOOT = 0.15
"""The lowest share of a part's height: what reaches into it, feet or wheels, stands on the ground."""
_COVERED = 0.5
"""A part stands on another one if this share of its contact has subject beneath it."""
_REACH, _MOST_REACH = 0.3, 0.2
"""Rows from the contact to full blur: a share of the part's height, at most one of the picture's."""
_DEPTH_OF_FIELD = 0.1
"""Share of that distance within which the ground looks sharp."""
_SIDEWAYS = 3.0
"""How many times farther the focus reaches sideways, where the ground is as far from the lens."""


def ground_defocus(share: Alpha8) -> Defocus | None:
    """Return how far each pixel is out of focus if the subject stands on the ground; None if it does not.

    share: height x width, 0..255, opacity of the subject. Each part of the subject stands where it is
    lowest. A part that leaves the picture at the lower border, or is above another part, stands
    nowhere. The result is 0 near the contacts, grows linearly away from them, and is 255 at a distance
    of 0.3 of the part's height, or 0.2 of the picture's if that is less. What the subject itself covers
    has values too.
    """
    height, width = share.shape
    factor = min(1.0, _WORK_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    solid = cv2.resize(share, size, interpolation=cv2.INTER_AREA) > _SOLID
    nearest = np.ones(solid.shape, np.float32)
    for part in _parts(solid):
        line = _contact_line(part, solid)
        if line is not None:
            _focus(nearest, line, int(np.count_nonzero(part.any(axis=1))))
    if nearest.min() == 1:
        return None
    levels = np.rint(nearest * 255).astype(np.uint8)
    return np.asarray(cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _parts(solid: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Yield the connected parts of the subject that are no specks, the largest first."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    for index in np.argsort(-areas, kind="stable")[:_MOST_PARTS]:
        if areas[index] >= _LEAST_SHARE * areas.max():
            yield labels == index + 1


def _contact_line(
    part: NDArray[np.bool_], solid: NDArray[np.bool_]
) -> tuple[_Integers, _Integers] | None:
    """Return columns and rows of the corners of the line on which a part stands; None if it does not.

    It is the lower side of the convex hull of the part's feet, so that two wheels of different rows
    stand on one sloping line.
    """
    height = solid.shape[0]
    columns = np.flatnonzero(part.any(axis=0))
    bottoms = height - 1 - part[::-1, columns].argmax(axis=0)
    lowest = int(bottoms.max())
    if lowest >= height - 1 - round(_FRAME * height):
        return None
    tall = np.count_nonzero(part.any(axis=1))
    feet = bottoms >= lowest - _FOOT * tall
    columns, bottoms = columns[feet], bottoms[feet]
    beneath = height - 1 - solid[::-1, columns].argmax(axis=0) > bottoms
    if beneath.mean() > _COVERED:
        return None
    return _lower_hull(columns, bottoms)


def _lower_hull(columns: _Integers, rows: _Integers) -> tuple[_Integers, _Integers]:
    """Return the corners of the hull's lower side, from left to right (Andrew's monotone chain, 1979)."""
    hull: list[tuple[int, int]] = []
    for x, y in zip(columns.tolist(), rows.tolist(), strict=True):
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    corners = np.array(hull, np.intp)
    return corners[:, 0], corners[:, 1]


def _is_above(left: tuple[int, int], middle: tuple[int, int], right: tuple[int, int]) -> bool:
    """Whether the middle point is not below the line between the others. Rows grow downwards."""
    (x0, y0), (x1, y1), (x2, y2) = left, middle, right
    return (y1 - y0) * (x2 - x0) <= (y2 - y0) * (x1 - x0)


def _focus(nearest: _Plane, line: tuple[_Integers, _Integers], tall: int) -> None:
    """Lower `nearest` (0 in focus, 1 full blur) around the contact line of a part of `tall` rows."""
    height, width = nearest.shape
    reach = max(1.0, min(_REACH * tall, _MOST_REACH * height))
    x, y = np.arange(width), np.arange(height)
    row = np.interp(x, *line)
    aside = np.maximum(np.maximum(line[0][0] - x, x - line[0][-1]), 0) / (_SIDEWAYS * reach)
    distance = np.hypot((y[:, None] - row) / reach, aside)
    defocus = np.clip((distance - _DEPTH_OF_FIELD) / (1 - _DEPTH_OF_FIELD), 0, 1)
    np.minimum(nearest, defocus, out=nearest, casting="same_kind")
