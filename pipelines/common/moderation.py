"""Moderation: score the content of a picture and decide whether it is blocked."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, within_area
from models.roles import MODERATION, Models

_MAX_PIXELS = 1_000_000
"""A picture is reduced to this many pixels before it is scored."""
_MAX_RATIO = 2.0
"""A picture with a longer aspect ratio is also scored in windows."""
_MAX_WINDOWS = 4


def highest_score(picture: Picture, models: Models) -> tuple[str, float]:
    """Return the category with the highest score and the score, 0..1.

    A transparent picture is scored over white and over black, because a drawing in one of these
    colours shows only on the other. A panorama is scored whole and in up to four windows, because
    the model squeezes its input into a square.
    """
    highest = ("", 0.0)
    with models.use(MODERATION) as moderation:
        for view in views(picture):
            category, score = max(moderation.score(view).items(), key=lambda item: item[1])
            if score >= highest[1]:
                highest = (category, score)
    return highest


def is_blocked(picture: Picture, models: Models, threshold: float) -> bool:
    """Whether any category scores `threshold` (0..1) or more."""
    return highest_score(picture, models)[1] >= threshold


def views(picture: Picture) -> Iterator[Rgb]:
    """Yield what is scored of a picture: at most ten pictures, each at most 1 MP, uint8 RGB."""
    if picture.alpha is None or picture.alpha.min() == 255:
        renderings = [_reduce(picture.rgb)]
    else:
        # Multiplied by alpha first; otherwise reducing would mix hidden colours into visible ones.
        premultiplied = cv2.multiply(picture.rgb, cv2.merge([picture.alpha] * 3), scale=1 / 255)
        black = _reduce(premultiplied.astype(np.uint8, copy=False))
        renderings = [_over_white(black, _reduce(picture.alpha)), black]
    for rendering in renderings:
        yield rendering
        yield from _windows(rendering)


def _over_white(premultiplied: Rgb, alpha: Alpha8) -> Rgb:
    """Return `premultiplied`, already multiplied by `alpha`, on white."""
    return cv2.add(premultiplied, cv2.merge([255 - alpha] * 3)).astype(np.uint8, copy=False)


def _reduce(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels, height x width or height x width x 3, reduced to at most 1 MP."""
    return resize(pixels, within_area(pixels.shape[1], pixels.shape[0], _MAX_PIXELS))


def _windows(rgb: Rgb) -> list[Rgb]:
    """Return equal parts of a picture longer than 2:1, cut along its length; else an empty list."""
    height, width = rgb.shape[:2]
    ratio = max(height, width) / min(height, width)
    if ratio <= _MAX_RATIO:
        return []
    count = min(_MAX_WINDOWS, math.ceil(ratio / _MAX_RATIO))
    axis = 0 if height > width else 1
    return [np.ascontiguousarray(part) for part in np.array_split(rgb, count, axis=axis)]
