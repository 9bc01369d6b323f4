"""Masks: resizing to a picture, growing, and reducing without the loss of a masked pixel."""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.errors import MaskRatioError, NothingMarkedError
from imaging.picture import Mask, Window
from imaging.resize import Size, pad_to_blocks, resize, resize_labels

MaskKind = Literal["manual", "automatic"]
"""manual: drawn by a person with a brush. automatic: made by an algorithm, tight along the object's edge."""

THRESHOLD = 127
"""A mask pixel above it is edited."""
_RATIO_TOLERANCE = 0.02
_THIN = 4.5  # half of the largest width, in pixels, of a thin mask
_CROSSINGS = 0.05  # share of a thin mask's pixels that may be deeper, where lines cross
_AUTOMATIC_GROWTH = 0.006  # of the square root of the picture's area


def check_ratio(mask_size: tuple[int, int], size: tuple[int, int]) -> None:
    """Raise MaskRatioError if a mask has another aspect ratio than its picture.

    Both sizes are width and height in pixels. Callers draw masks on a smaller canvas with rounded
    sides, so a side may differ by one pixel plus two per cent.
    """
    (mask_width, mask_height), (width, height) = mask_size, size
    expected_height = mask_width * height / width
    expected_width = mask_height * width / height
    if (
        abs(mask_height - expected_height) > 1 + _RATIO_TOLERANCE * expected_height
        and abs(mask_width - expected_width) > 1 + _RATIO_TOLERANCE * expected_width
    ):
        raise MaskRatioError(
            f"the mask is {mask_width}x{mask_height} and the picture {width}x{height} pixels"
        )


def fit_mask(mask: NDArray[np.uint8], width: int, height: int) -> Mask:
    """Resize a greyscale mask to `width` x `height` by nearest neighbour.

    mask: height x width, uint8; a value above 127 means edited. Raises MaskRatioError if the aspect
    ratios differ.
    """
    mask_height, mask_width = mask.shape
    check_ratio((mask_width, mask_height), (width, height))
    if (mask_width, mask_height) != (width, height):
        mask = resize_labels(mask, (width, height))
    return mask > THRESHOLD


def check_marked(mask: NDArray[np.uint8], width: int, height: int) -> None:
    """Raise NothingMarkedError if a mask marks no pixel of its picture, as thin strokes may not once reduced.

    mask: as in `fit_mask`, with at least one pixel above 127. Raises MaskRatioError if the aspect
    ratios differ.
    """
    if mask.shape != (height, width) and not fit_mask(mask, width, height).any():
        raise NothingMarkedError(
            f"at the size of the picture, {width}x{height}, nothing is left of its thin strokes"
        )


def grow(mask: Mask, kind: MaskKind) -> Mask:
    """Grow a mask as much as its kind needs.

    A manual mask is exact: it stays as it is. An automatic mask follows the object's edge but
    leaves out a thin rim of the object: it grows by `automatic_radius`.
    """
    return mask if kind == "manual" else dilate(mask, automatic_radius(*mask.shape))


def automatic_radius(height: int, width: int) -> int:
    """Return the growth of an automatic mask in pixels: 0.6 % of the square root of the area, at least 2."""
    return max(2, round(_AUTOMATIC_GROWTH * math.sqrt(height * width)))


def dilate(mask: Mask, radius: int) -> Mask:
    """Return a mask grown by a disc of `radius` pixels. The time does not depend on the radius."""
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
    """Return a mask grown by a square: `radius` pixels to every side and corner."""
    return cv2.dilate(mask.view(np.uint8), np.ones((2 * radius + 1,) * 2, np.uint8)) > 0


def is_thin(mask: Mask) -> bool:
    """Whether a mask consists of lines and dots up to about nine pixels wide."""
    box = bounds(mask)
    if box is None:
        return True
    part = np.pad(mask[box], 1).view(np.uint8)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)
    return bool(np.count_nonzero(depth > _THIN) <= _CROSSINGS * np.count_nonzero(part))


def bounds(mask: Mask) -> Window | None:
    """Return the smallest window that holds every True pixel of a mask; None if there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def touched(mask: Mask, size: Size) -> Mask:
    """Return a mask at `size` (width, height).

    A pixel is True if any pixel that it covers is True.
    """
    # In floats: rounding to bytes would lose one pixel in a thousand.
    return resize(mask.astype(np.float32), size, cv2.INTER_AREA) > 0


def touched_blocks(mask: Mask, side: int) -> Mask:
    """Return one pixel per block of side x side pixels, True if any pixel of the block is True.

    The numbers of blocks are rounded up.
    """
    padded = pad_to_blocks(mask.view(np.uint8), (side, side))
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    # One axis after the other is four times as fast as both at once.
    wide = padded.reshape(rows, side, columns * side).max(axis=1)
    blocks: Mask = wide.reshape(rows, columns, side).max(axis=2) > 0
    return blocks
