"""Half size: smaller input for a model that ran out of memory, and the enlargement of its result."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.masks import touched
from imaging.picture import Rgb
from imaging.resize import resize

_OVERLAP = 32
"""Pixels by which each half of a picture extends beyond the cut."""


def half_size(rgb: NDArray[Any], multiple: int = 1, least: int = 1) -> tuple[int, int]:
    """Return half of a picture's width and height, each a multiple of `multiple` and at least `least`.

    Neither is larger than in the picture itself.
    """
    height, width = (
        min(side, max(least, side // 2 // multiple * multiple, multiple)) for side in rgb.shape[:2]
    )
    return width, height


def shrink_to(array: NDArray[Any], size: tuple[int, int]) -> Any:
    """Return `array` at width x height, averaged by area.

    In a mask, every touched pixel stays True.
    """
    return touched(array, size) if array.dtype == np.bool_ else resize(array, size)


def enlarge_like(array: NDArray[Any], like: NDArray[Any], method: int = cv2.INTER_CUBIC) -> Any:
    """Return `array` at the width and height of `like`. method: one of OpenCV's interpolations."""
    return resize(array, (like.shape[1], like.shape[0]), method)


def in_two_halves(upscale: Callable[[Rgb, int], Rgb], rgb: Rgb, factor: int) -> Rgb:
    """Return `upscale(rgb, factor)`, computed in two halves. The cut divides the longer side."""
    if rgb.shape[0] < rgb.shape[1]:
        turned = in_two_halves(
            lambda part, by: upscale(part.swapaxes(0, 1).copy(), by).swapaxes(0, 1),
            rgb.swapaxes(0, 1),
            factor,
        )
        return np.ascontiguousarray(turned.swapaxes(0, 1))
    middle = rgb.shape[0] // 2
    above = upscale(rgb[: middle + _OVERLAP].copy(), factor)[: middle * factor]
    first = max(0, middle - _OVERLAP)
    below = upscale(rgb[first:].copy(), factor)[(middle - first) * factor :]
    return np.concatenate([above, below])
