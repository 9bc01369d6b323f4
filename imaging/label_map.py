"""Turning overlapping masks into one map of numbered parts."""

from collections.abc import Sequence

import cv2
import numpy as np

from imaging.picture import Labels, Mask
from imaging.resize import resize

MOST = 255
_SMALLEST = 0.0005  # of the picture's area


def label_map(masks: Sequence[Mask], width: int, height: int) -> Labels:
    """Lay masks of one size over each other, the largest lowest; give the map at width x height.

    What no mask covers is 0. A part keeps what no smaller mask lies on; parts of less than 0.05 %
    of the picture are left out, and the 255 largest kept. Numbers follow the area that is left.
    """
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    order = sorted(range(len(masks)), key=lambda i: -areas[i])
    least = max(1.0, _SMALLEST * masks[0].size) if masks else 1.0
    labels = np.zeros((height, width), np.uint8)
    for number, i in enumerate([i for i in order if areas[i] >= least][:MOST], start=1):
        labels[_enlarged(masks[i], width, height)] = number
    return by_area(labels)


def by_area(labels: Labels) -> Labels:
    """Number the parts anew by their area, the largest first, without a gap; 0 stays."""
    areas = np.bincount(labels.ravel(), minlength=256)
    areas[0] = 0
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    numbers = np.zeros(256, np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return np.asarray(cv2.LUT(labels, numbers), np.uint8)


def _enlarged(mask: Mask, width: int, height: int) -> Mask:
    """Bring a mask to a size with smooth edges."""
    if mask.shape == (height, width):
        return mask
    levels = mask.astype(np.uint8) * np.uint8(255)
    blurred = np.asarray(cv2.GaussianBlur(levels, (3, 3), 0), np.uint8)
    large: Mask = resize(blurred, (width, height), cv2.INTER_LINEAR) > 127
    return large
