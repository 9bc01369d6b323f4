"""Masks as callers send them, brought to the picture's size and grown to what the edit needs."""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask

MaskKind = Literal["manual", "automatic"]
"""Drawn by a person with a brush, or cut by an algorithm tightly along the object's edge."""

_WHITE = 127  # a mask pixel above it is edited
_RATIO_SLACK = 0.02
_AUTOMATIC_GROWTH = 0.006  # of the square root of the picture's area


class MaskRatioError(Exception):
    """The mask's aspect ratio is not the picture's."""


def check_ratio(mask_size: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a mask whose aspect ratio is not the picture's; both sizes are width and height.

    Callers draw masks on a smaller canvas whose sides are rounded, so a side may be off by a pixel
    and two per cent. Raises MaskRatioError beyond that.
    """
    (mask_width, mask_height), (width, height) = mask_size, size
    expected_height = mask_width * height / width
    expected_width = mask_height * width / height
    if (
        abs(mask_height - expected_height) > 1 + _RATIO_SLACK * expected_height
        and abs(mask_width - expected_width) > 1 + _RATIO_SLACK * expected_width
    ):
        raise MaskRatioError(
            f"the mask ({mask_width}x{mask_height}) and the picture ({width}x{height}) "
            "must have the same aspect ratio"
        )


def fit_mask(mask: NDArray[np.uint8], width: int, height: int) -> Mask:
    """Scale a greyscale mask to `width` x `height` by nearest neighbour; above 127 is edited.

    Raises MaskRatioError when the aspect ratios differ.
    """
    mask_height, mask_width = mask.shape
    check_ratio((mask_width, mask_height), (width, height))
    if (mask_width, mask_height) != (width, height):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT).astype(
            np.uint8
        )
    return mask > _WHITE


def grow(mask: Mask, kind: MaskKind) -> Mask:
    """Grow a mask to what its kind needs.

    A manual mask is what the caller means, to the pixel: it stays as it is. An automatic mask runs
    along the object's edge and leaves a rim of it: it grows by `automatic_radius`.
    """
    return mask if kind == "manual" else dilate(mask, automatic_radius(*mask.shape))


def automatic_radius(height: int, width: int) -> int:
    """Give the growth of an automatic mask in pixels: 0.6 % of the picture's size, at least 2."""
    return max(2, round(_AUTOMATIC_GROWTH * math.sqrt(height * width)))


def dilate(mask: Mask, radius: int) -> Mask:
    """Grow a mask by a disc of `radius` pixels, in time that does not depend on the radius."""
    if radius < 1 or not mask.any():
        return mask.copy()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = (
        slice(max(0, rows[0] - radius), rows[-1] + radius + 1),
        slice(max(0, columns[0] - radius), columns[-1] + radius + 1),
    )
    away = cv2.distanceTransform((~mask[window]).view(np.uint8), cv2.DIST_L2, 5)
    grown = mask.copy()
    grown[window] = away <= radius
    return grown
