"""Masks: fitted to a picture, grown to what an edit needs, reduced without losing a pixel."""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.errors import MaskRatioError
from imaging.picture import Mask, Window
from imaging.resize import Size, pad_to_blocks, resize, resize_labels

MaskKind = Literal["manual", "automatic"]
"""Drawn by a person with a brush, or cut by an algorithm tightly along the object's edge."""

_WHITE = 127  # a mask pixel above it is edited
_RATIO_SLACK = 0.02
_AUTOMATIC_GROWTH = 0.006  # of the square root of the picture's area


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
        mask = resize_labels(mask, (width, height))
    return mask > _WHITE


def grow(mask: Mask, kind: MaskKind) -> Mask:
    """Grow a mask to what its kind needs.

    A manual mask is what the caller means, to the pixel: it stays as it is. An automatic mask runs
    along the object's edge and leaves a rim of it: it grows by `automatic_radius`.
    """
    return mask if kind == "manual" else dilate(mask, automatic_radius(*mask.shape))


def automatic_radius(height: int, width: int) -> int:
    """Return the growth of an automatic mask in pixels: 0.6 % of the picture's size, at least 2."""
    return max(2, round(_AUTOMATIC_GROWTH * math.sqrt(height * width)))


def dilate(mask: Mask, radius: int) -> Mask:
    """Return a mask grown by a disc of `radius` pixels, in time that does not depend on the radius."""
    box = bounds(mask)
    if radius < 1 or box is None:
        return mask.copy()
    rows, columns = (slice(max(0, side.start - radius), side.stop + radius) for side in box)
    window = rows, columns
    away = cv2.distanceTransform((~mask[window]).view(np.uint8), cv2.DIST_L2, 5)
    grown = mask.copy()
    grown[window] = away <= radius
    return grown


def dilate_square(mask: Mask, radius: int) -> Mask:
    """Return a mask grown by a square, `radius` pixels to every side and corner."""
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * radius + 1,) * 2, np.uint8)) > 0


def bounds(mask: Mask) -> Window | None:
    """Return the rows and columns between which a mask is True; None where it nowhere is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def touched(mask: Mask, size: Size) -> Mask:
    """Return a mask at `size`, smaller or larger: True where any pixel of what a pixel covers is."""
    # In floats: one pixel in a thousand would be rounded away in bytes.
    return resize(mask.astype(np.float32), size, cv2.INTER_AREA) > 0


def touched_blocks(mask: Mask, side: int) -> Mask:
    """Return a mask reduced by whole blocks of side x side, their numbers rounded up: True where any is."""
    padded = pad_to_blocks(mask.view(np.uint8), (side, side))
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    # One axis after the other: four times as fast as both at once.
    wide = padded.reshape(rows, side, columns * side).max(axis=1)
    blocks: Mask = wide.reshape(rows, columns, side).max(axis=2) > 0
    return blocks
