"""Crop a picture to its subject, cut out."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import cut_out
from imaging.masks import bounds
from imaging.picture import Alpha8, Picture
from models.roles import Models
from pipelines.common.opacity import visible_part
from pipelines.common.subject import FAINT, has_cut_out, required, subject_alpha, without_alpha
from pipelines.errors import CropTooLargeError, NoForegroundError

MAX_AREA = 8192 * 8192
"""Largest result, in pixels, padding included."""

_SPECK_SHARE = 0.001
"""A part of a matte is noise if its area is below this share of the largest part's."""
_ANALYSIS_SIDE = 1024
"""Pixels of the longer side on which the parts of a matte are found."""


def crop(
    picture: Picture,
    models: Models,
    padding: int = 0,
    force_rmbg: bool = False,
    preserve_alpha: bool | None = None,
    is_cut_out: Callable[[Picture], bool] = has_cut_out,
) -> Picture:
    """Return the subject alone in its bounding box, with `padding` transparent pixels on each side.

    The padding is exact on all four sides, also where the subject touches the picture's border.
    A picture whose own alpha cuts out its subject is framed by that, otherwise by a matte. force_rmbg:
    ignore an alpha channel, and find the subject by matting the colours alone, also those that it hides.
    preserve_alpha: False makes opaque what is partly transparent in the picture (`common.opacity.solid`).
    is_cut_out: whether the picture's own alpha is used (`common.subject`).

    Raises NoForegroundError if the picture has no subject, CropTooLargeError if the result would
    have more than MAX_AREA pixels, ValueError if `padding` is negative.
    """
    if padding < 0:
        raise ValueError(f"padding is {padding}, must not be negative")
    picture = without_alpha(picture) if force_rmbg else visible_part(picture, preserve_alpha)
    alpha = required(subject_alpha(picture, models, is_cut_out))
    subject_region = alpha > FAINT
    box = bounds(subject_region if is_cut_out(picture) else _without_specks(subject_region))
    if box is None:  # only specks
        raise NoForegroundError
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if (height + 2 * padding) * (width + 2 * padding) > MAX_AREA:
        raise CropTooLargeError
    subject = cut_out(picture, alpha)
    return _pad(subject.rgb[rows, columns], alpha[rows, columns], padding)


def _pad(rgb: NDArray[np.uint8], alpha: Alpha8, padding: int) -> Picture:
    """Return a cut-out with transparent pixels on each side; their colours repeat its border."""
    sides = ((padding, padding), (padding, padding))
    return Picture(np.pad(rgb, (*sides, (0, 0)), mode="edge"), np.pad(alpha, sides))


def _without_specks(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a region without the parts that are tiny compared to its largest part."""
    height, width = region.shape
    scale = min(1.0, _ANALYSIS_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((small > 0).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the background
    large_parts = (areas >= _SPECK_SHARE * areas.max())[labels] & (labels > 0)
    # Grown by one pixel, because reducing and enlarging may round a border differently.
    large_parts = cv2.dilate(large_parts.astype(np.uint8), np.ones((3, 3), np.uint8))
    return region & (cv2.resize(large_parts, (width, height), interpolation=cv2.INTER_NEAREST) > 0)
