"""Crop: the subject cut out and framed tightly."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import cut_out
from imaging.masks import bounds
from imaging.picture import Alpha8, Picture
from models.roles import Models
from pipelines.common.subject import brings_alpha, subject_alpha
from pipelines.errors import CropTooLargeError, NoForegroundError

MAX_AREA = 8192 * 8192
"""Largest result, in pixels, padding included."""

_VISIBLE = 12
"""Alpha above which a matted pixel counts; under 5 % a matte is noise."""
_SPECK = 0.001
"""Share of the largest part's area under which a part of a matte is a speck."""
_WORK_SIDE = 1024


def crop(picture: Picture, models: Models, padding: int = 0, force_rmbg: bool = False) -> Picture:
    """Return the subject alone in its bounding box, with `padding` transparent pixels all round.

    The padding is exact on all four sides, also where the subject touches the picture's border.

    Raises NoForegroundError when nothing remains of the picture, CropTooLargeError when the result would have
    more than MAX_AREA pixels, ValueError when `padding` is negative.
    """
    if padding < 0:
        raise ValueError(f"padding is {padding}, must not be negative")
    alpha = subject_alpha(picture, models, force_rmbg)
    matted = force_rmbg or not brings_alpha(picture)
    box = bounds(_without_specks(alpha > _VISIBLE) if matted else alpha > 0)
    if box is None:
        raise NoForegroundError
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if (height + 2 * padding) * (width + 2 * padding) > MAX_AREA:
        raise CropTooLargeError
    subject = cut_out(picture, alpha)
    return _padded(subject.rgb[rows, columns], alpha[rows, columns], padding)


def _padded(rgb: NDArray[np.uint8], alpha: Alpha8, padding: int) -> Picture:
    """Frame a cut-out with transparent pixels, its border colours drawn out under them."""
    sides = ((padding, padding), (padding, padding))
    return Picture(np.pad(rgb, (*sides, (0, 0)), mode="edge"), np.pad(alpha, sides))


def _without_specks(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop the parts of a region that are tiny beside its largest part."""
    height, width = region.shape
    scale = min(1.0, _WORK_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((small > 0).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # the background
    kept = (areas >= _SPECK * areas.max())[labels] & (labels > 0)
    # One more pixel: the two scalings may round a border differently.
    kept = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8))
    return region & (cv2.resize(kept, (width, height), interpolation=cv2.INTER_NEAREST) > 0)
