"""Names for masks: the object that a detection model finds in a mask's place says what it shows."""

from collections.abc import Mapping

import numpy as np

from imaging.picture import Rgb
from models.roles import OBJECT_DETECTION, Models

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_SAME_OBJECT = 0.5
"""A mask and a detected object are the same thing from this overlap of their boxes (intersection
over union) on, the threshold of the PASCAL VOC challenge (Everingham et al. 2010)."""


def labels_by_detection(
    boxes: Mapping[int, Box], shape: tuple[int, ...], rgb: Rgb, models: Models
) -> dict[int, list[str]]:
    """Return the names of masks, by id: one for a mask whose box is that of a detected object.

    boxes: of the masks, by id, in pixels of a map of the given shape, height first. rgb: the
    picture; its size may be another. If the profile has no model that detects objects, no mask has
    a name.
    """
    if not boxes or not models.offers(OBJECT_DETECTION):
        return {}
    with models.use(OBJECT_DETECTION) as detection:
        found = detection.detect(rgb)
    x, y = shape[1] / rgb.shape[1], shape[0] / rgb.shape[0]
    scale = np.array([x, y, x, y])
    names = {}
    for mask_id, box in boxes.items():
        overlaps = [_overlap(box, tuple(np.array(one.box) * scale)) for one in found]
        best = max(range(len(found)), key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] >= _SAME_OBJECT:
            names[mask_id] = [found[best].label]
    return names


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union, 0..1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(one) + _area(other) - width * height)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
