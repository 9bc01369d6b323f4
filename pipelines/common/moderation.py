"""Whether a picture may be worked on or shown: the worst score of anything it can look like."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, within_area
from models.roles import MODERATION, Models

_MAX_PIXELS = 1_000_000
_MAX_RATIO = 2.0
_MAX_WINDOWS = 4


def worst(picture: Picture, models: Models) -> tuple[str, float]:
    """Return the category that scores highest and its score, 0..1.

    A transparent picture is judged over white and over black, since a drawing in either colour
    shows on one of them only. A panorama is judged whole and in up to four windows, since a model
    squeezes what it judges into a square.
    """
    best = ("", 0.0)
    with models.use(MODERATION) as moderation:
        for view in views(picture):
            category, score = max(moderation.score(view).items(), key=lambda item: item[1])
            if score >= best[1]:
                best = (category, score)
    return best


def is_blocked(picture: Picture, models: Models, threshold: float) -> bool:
    """Whether any category scores `threshold` (0..1) or more."""
    return worst(picture, models)[1] >= threshold


def views(picture: Picture) -> Iterator[Rgb]:
    """Yield what is judged of a picture: ten pictures at most, none above 1 MP."""
    if picture.alpha is None or picture.alpha.min() == 255:
        looks = [_reduced(picture.rgb)]
    else:
        # Multiplied before it is reduced, or colours that no one sees would mix into those seen.
        front = cv2.multiply(picture.rgb, cv2.merge([picture.alpha] * 3), scale=1 / 255)
        black = _reduced(front.astype(np.uint8, copy=False))
        looks = [_over_white(black, _reduced(picture.alpha)), black]
    for look in looks:
        yield look
        yield from _windows(look)


def _over_white(front: Rgb, alpha: Alpha8) -> Rgb:
    """Lay `front`, already multiplied by `alpha`, on white."""
    return cv2.add(front, cv2.merge([255 - alpha] * 3)).astype(np.uint8, copy=False)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels, height x width or height x width x 3, at 1 MP where they are more."""
    return resize(pixels, within_area(pixels.shape[1], pixels.shape[0], _MAX_PIXELS))


def _windows(rgb: Rgb) -> list[Rgb]:
    """Cut a picture longer than 2:1 into equal parts along its length; none where it is not."""
    height, width = rgb.shape[:2]
    ratio = max(height, width) / min(height, width)
    if ratio <= _MAX_RATIO:
        return []
    count = min(_MAX_WINDOWS, math.ceil(ratio / _MAX_RATIO))
    axis = 0 if height > width else 1
    return [np.ascontiguousarray(part) for part in np.array_split(rgb, count, axis=axis)]
