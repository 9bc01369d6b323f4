"""How clearly the outline of a mask stands out in its picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb

_BLUR = 1.0
_REACH = 3
"""Pixels on each side of an outline between which the colours are compared."""
_HALF = 12.0
"""A step of so many units of CIELAB counts half. About 2 are just visible; the parts of a face differ by 10."""


def colour_steps(rgb: Rgb) -> NDArray[np.float32]:
    """Return how abruptly the colour changes at each pixel: height x width, float32, 0..1.

    It is d / (d + 12), where d is the distance in CIELAB of the pixels three to the left and right, or
    above and below, whichever is larger.
    """
    smooth = cv2.GaussianBlur(rgb, (0, 0), _BLUR).astype(np.float32) / np.float32(255)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)
    border = cv2.BORDER_REPLICATE
    framed = cv2.copyMakeBorder(lab, _REACH, _REACH, _REACH, _REACH, border)
    inner, ahead = slice(_REACH, -_REACH), slice(2 * _REACH, None)
    across = np.linalg.norm(framed[inner, ahead] - framed[inner, : -2 * _REACH], axis=2)
    down = np.linalg.norm(framed[ahead, inner] - framed[: -2 * _REACH, inner], axis=2)
    step = np.maximum(across, down)
    return np.asarray(step / (step + _HALF), np.float32)


def outline(mask: Mask) -> Mask:
    """Return the pixels of a mask that have a neighbour outside it; the picture's own border is none."""
    inside = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return mask & ~inside


def contrast(mask: Mask, steps: NDArray[np.float32]) -> float:
    """Return the mean of `colour_steps` along the outline of a mask, 0..1; 1 if it has no outline."""
    edge = outline(mask)
    return float(steps[edge].mean()) if edge.any() else 1.0
