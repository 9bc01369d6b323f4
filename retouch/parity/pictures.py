"""How alike two results are: their sizes, kinds and pixels; and small pictures of them for the page."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from imaging.errors import PictureError
from imaging.files.decode import decode
from imaging.files.header import probe
from imaging.picture import Picture
from retouch.chequerboard import on_chequerboard

MAX_PIXELS = 8192 * 8192
"""Larger pictures are not decoded."""
_THUMBNAIL = 320
_ROWS = 256
"""Rows that are compared at once, so that wide numbers take little memory."""


@dataclass(frozen=True)
class Look:
    """A decoded result. format, mode: None if it is not a picture, as a zip. picture: not kept for long."""

    bytes: int
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    is_decoded: bool = False
    picture: Picture | None = None


@dataclass(frozen=True)
class PixelDifference:
    """mean: the mean absolute difference of the channels, 0 to 255, transparent pixels as black.

    largest: of one channel. alpha_iou: the area that both keep, divided by that which either keeps, 0 to 1;
    None if neither has transparent pixels.
    """

    mean: float
    largest: int
    alpha_iou: float | None


def look(content: bytes) -> Look:
    """Return what a file is; one that is no picture, damaged or too large is not decoded."""
    try:
        found = probe(content)
        size = (found.width, found.height)
        picture = decode(content) if found.width * found.height <= MAX_PIXELS else None
    except PictureError:
        return Look(len(content))
    return Look(len(content), found.format, found.mode, *size, picture is not None, picture)


def pixel_difference(first: Picture, second: Picture) -> PixelDifference | None:
    """Return how far the pixels of two pictures differ; None if their sizes differ."""
    if first.rgb.shape != second.rgb.shape:
        return None
    total, largest, both, either = 0, 0, 0, 0
    height, width = first.rgb.shape[:2]
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        (one, kept), (other, also) = _part(first, rows), _part(second, rows)
        apart = np.abs(one - other)
        total += int(apart.sum())
        largest = max(largest, int(apart.max()))
        both += int((kept & also).sum())
        either += int((kept | also).sum())
    has_alpha = first.alpha is not None or second.alpha is not None
    iou = both / max(either, 1) if either or not has_alpha else 1.0
    return PixelDifference(total / (height * width * 3), largest, iou if has_alpha else None)


def _part(picture: Picture, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours times alpha as integers of 32 bits, and which pixels are kept rather than cut away."""
    rgb = picture.rgb[rows].astype(np.int32)
    if picture.alpha is None:
        return rgb, np.ones(rgb.shape[:2], bool)
    alpha = picture.alpha[rows].astype(np.int32)
    return (rgb * alpha[..., None] + 127) // 255, alpha > 127


def thumbnail(picture: Picture) -> Image.Image:
    """Return a small picture, on a chequerboard where it is transparent."""
    image = Image.fromarray(picture.rgb)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return on_chequerboard(image)
