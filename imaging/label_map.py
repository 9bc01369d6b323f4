"""Label maps: overlapping masks become one map of numbered parts."""

from collections.abc import Sequence

import cv2
import numpy as np

from imaging.picture import Labels, Mask
from imaging.resize import resize

MAX_PARTS = 255
"""The largest number of parts in a map: numbers are uint8, and 0 means no part."""
_SMALLEST = 0.0005  # of the picture's area


def label_map(masks: Sequence[Mask], width: int, height: int) -> Labels:
    """Stack masks of one size, the largest at the bottom. Return the map at width x height.

    A pixel without a mask is 0. Where masks overlap, the smallest one wins. Masks of less than 0.05
    % of the picture are left out, and only the 255 largest are used. Parts are numbered by their
    visible area, the largest first.
    """
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    order = sorted(range(len(masks)), key=lambda i: -areas[i])
    least = max(1.0, _SMALLEST * masks[0].size) if masks else 1.0
    labels = np.zeros((height, width), np.uint8)
    for number, i in enumerate([i for i in order if areas[i] >= least][:MAX_PARTS], start=1):
        labels[_enlarge(masks[i], width, height)] = number
    return by_area(labels)


def by_area(labels: Labels) -> Labels:
    """Renumber the parts by their area, the largest first, without gaps. 0 stays 0."""
    areas = np.bincount(labels.ravel(), minlength=256)
    areas[0] = 0
    order = np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]
    numbers = np.zeros(256, np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    return np.asarray(cv2.LUT(labels, numbers), np.uint8)


def _enlarge(mask: Mask, width: int, height: int) -> Mask:
    """Resize a mask with smooth edges."""
    if mask.shape == (height, width):
        return mask
    levels = mask.astype(np.uint8) * np.uint8(255)
    blurred = np.asarray(cv2.GaussianBlur(levels, (3, 3), 0), np.uint8)
    large: Mask = resize(blurred, (width, height), cv2.INTER_LINEAR) > 127
    return large
