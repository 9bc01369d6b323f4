"""Sizes that callers ask for by name, and the megapixel that background replacement works at."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Picture

ORIGINAL = "original"
RESOLUTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "nhd": (640, 360),
        "svga": (800, 600),
        "xga": (1024, 768),
        "had": (1280, 720),  # HD; the published enum spells it so
        "wuxga": (1920, 1200),
        "uwfhd": (2560, 1080),
        "wqxga": (2560, 1600),
        "uwqhd": (3440, 1440),
        "uhd": (3840, 2160),
    }
)
"""Width and height in pixels by the API's name; `original` has none."""

_MEGAPIXEL = 1_000_000
# Boxes bring it down to 3 times the size first: as good to the eye, and several times as fast.
_REDUCING_GAP = 3.0


def fit_resolution(picture: Picture, name: str) -> Picture:
    """Bring `picture` to the largest size within a named resolution, its aspect ratio kept.

    A smaller picture is enlarged: the name says how large the result is, not how large at most.
    The box lies on its long side for upright pictures too. `original` gives the picture itself.
    Raises KeyError for any other name.
    """
    if name == ORIGINAL:
        return picture
    width, height = RESOLUTIONS[name]
    return _scale(picture, min(width / picture.width, height / picture.height))


def one_megapixel(picture: Picture) -> Picture:
    """Bring `picture` to 1,000,000 pixels in area, up or down, its aspect ratio kept."""
    return _scale(picture, (_MEGAPIXEL / (picture.width * picture.height)) ** 0.5)


def _scale(picture: Picture, factor: float) -> Picture:
    """Resample with Lanczos' filter, antialiased; colours are weighed by their alpha."""
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    if size == (picture.width, picture.height):
        return picture
    if picture.alpha is None:
        return Picture(_resize(picture.rgb, size))
    # In floating point, because alpha that is clipped at a ringing edge no longer fits its colours.
    weight = picture.alpha.astype(np.float32)
    alpha = _resize(weight, size)
    rgb = np.empty((size[1], size[0], 3), np.uint8)
    for channel in range(3):
        weighed = _resize(picture.rgb[..., channel] * weight, size) / np.maximum(alpha, 1)
        rgb[..., channel] = np.clip(np.rint(weighed), 0, 255)
    return Picture(rgb, np.clip(np.rint(alpha), 0, 255).astype(np.uint8))


def _resize(samples: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    image = Image.fromarray(samples)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP))
