"""Boxes as x, y, width and height in pixels, and the pairing of found boxes with drawn ones."""

from collections.abc import Sequence

Box = tuple[float, float, float, float]


def box_iou(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union, 0..1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def scaled(box: Box, scale: float) -> Box:
    """Return a box of a picture at `scale` times its size."""
    x, y, width, height = box
    return x * scale, y * scale, width * scale, height * scale


def pairs(found: Sequence[Box], drawn: Sequence[Box], least: float) -> dict[int, int]:
    """Return the index of a found box by that of its drawn box: the best pairs first, each box once.

    least: the lowest intersection over union of a pair.
    """
    ranked = sorted(
        (
            (box_iou(box, mark), number, of)
            for number, box in enumerate(found)
            for of, mark in enumerate(drawn)
        ),
        key=lambda pair: -pair[0],
    )
    taken: dict[int, int] = {}
    for iou, number, of in ranked:
        if iou >= least and of not in taken and number not in taken.values():
            taken[of] = number
    return taken


def centre_within(box: Box, region: Box) -> bool:
    """Whether the middle of a box lies in a region."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    return region[0] <= x <= region[0] + region[2] and region[1] <= y <= region[1] + region[3]
