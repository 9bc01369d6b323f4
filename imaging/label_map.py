"""Label maps: overlapping masks become one map of numbered parts; where each part of a map is."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Labels, Mask
from imaging.resize import resize

MAX_PARTS = 255
"""The largest number of parts in a map: numbers are uint8, and 0 means no part."""
_SMALLEST = 0.0005  # of the picture's area
_STRIP_PIXELS, _COUNTED_PIXELS = 1 << 22, 1 << 20
_FILL_REACH = 64  # rows above and below a strip from which its small gaps take their parts


def label_map(
    masks: Sequence[Mask], width: int, height: int, areas: Sequence[int] | None = None
) -> Labels:
    """Stack masks of one size, the largest at the bottom. Return the map at width x height.

    A pixel without a mask is 0. Where masks overlap, the smallest one wins. Masks of less than 0.05
    % of the picture are left out, and only the 255 largest are used. Parts are numbered by their
    visible area, the largest first. areas: pixels of each mask; by default they are counted. With them,
    only the masks that are used are read from `masks`, one after the other.
    """
    if areas is None:
        areas = [int(np.count_nonzero(mask)) for mask in masks]
    order = sorted(range(len(masks)), key=lambda i: -areas[i])
    least = max(1.0, _SMALLEST * masks[0].size) if len(masks) else 1.0
    labels = np.zeros((height, width), np.uint8)
    for number, i in enumerate([i for i in order if areas[i] >= least][:MAX_PARTS], start=1):
        labels[_enlarge(masks[i], width, height)] = number
    return by_area(labels)


def part_areas(labels: Labels, where: Mask | None = None) -> NDArray[np.int64]:
    """Return the pixels of each part, 256 counts, that of 0 being 0; where: only pixels that are True.

    It counts in strips, because counting needs 8 bytes for each pixel.
    """
    areas = np.zeros(256, np.int64)
    rows = max(1, _COUNTED_PIXELS // labels.shape[1])
    for top in range(0, len(labels), rows):
        strip = labels[top : top + rows]
        areas += np.bincount(
            strip.ravel() if where is None else strip[where[top : top + rows]], minlength=256
        )
    areas[0] = 0
    return areas


def by_area(labels: Labels) -> Labels:
    """Renumber the parts by their area, the largest first, without gaps. 0 stays 0."""
    areas = part_areas(labels)
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    numbers = np.zeros(256, np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return np.asarray(cv2.LUT(labels, numbers), np.uint8)


def mask_members(labels: Labels) -> dict[int, tuple[int, ...]]:
    """Return the masks of a map, by ascending id, and the parts that each consists of.

    Each part is a mask. The first number that the map leaves out, after two parts or more, is a mask
    that consists of all parts before it: so masks can nest in a map with one number for each pixel.
    """
    present = np.flatnonzero(part_areas(labels)).tolist()
    members: dict[int, tuple[int, ...]] = {number: (number,) for number in present}
    whole = next((i for i, number in enumerate(present, start=1) if number != i), None)
    if whole is not None and whole > 2:
        members[whole] = tuple(range(1, whole))
    return dict(sorted(members.items()))


def select(labels: Labels, parts: Sequence[int]) -> NDArray[np.uint8]:
    """Return 255 where a map has one of the parts, else 0."""
    table = np.zeros(256, np.uint8)
    table[list(parts)] = 255
    return np.asarray(cv2.LUT(labels, table), np.uint8)


def fill_gaps(labels: Labels) -> None:
    """Assign each pixel without a part to the nearest part, in place, if it is within 64 rows.

    It works in strips, because distances need 8 bytes for each pixel.
    """
    rows = max(_FILL_REACH, _STRIP_PIXELS // labels.shape[1])
    source = labels.copy()
    for top in range(0, len(labels), rows):
        above = min(top, _FILL_REACH)
        window = source[top - above : top + rows + _FILL_REACH]
        known = window > 0
        if known.all() or not known.any():
            continue
        strip = labels[top : top + rows]
        strip[:] = fill_from_nearest(window, known)[above : above + len(strip)]


def label_boxes(labels: Labels) -> dict[int, tuple[int, int, int, int]]:
    """Return the bounding box of each part, by ascending number: left, top, right, bottom.

    Pixels; right and bottom are the first ones beyond the part.
    """
    rows, columns = _numbers_by_row(labels), _numbers_by_row(cv2.transpose(labels))
    boxes = {}
    for number in np.flatnonzero(rows.any(axis=0)).tolist():
        y, x = np.flatnonzero(rows[:, number]), np.flatnonzero(columns[:, number])
        if number:
            boxes[number] = int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1
    return boxes


def _numbers_by_row(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which numbers are in each row of a map: rows x 256."""
    present = np.zeros((len(labels), 256), np.bool_)
    for numbers, row in zip(present, labels, strict=True):
        numbers[row] = True
    return present


def _enlarge(mask: Mask, width: int, height: int) -> Mask:
    """Resize a mask with smooth edges."""
    if mask.shape == (height, width):
        return mask
    levels = mask.astype(np.uint8) * np.uint8(255)
    blurred = np.asarray(cv2.GaussianBlur(levels, (3, 3), 0), np.uint8)
    large: Mask = resize(blurred, (width, height), cv2.INTER_LINEAR) > 127
    return large
