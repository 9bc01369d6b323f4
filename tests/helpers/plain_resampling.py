"""Pillow's resampling in plain NumPy, to hold the inputs of networks against (Pillow's Resample.c)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def bicubic(x: float) -> float:
    """Return Keys' cubic kernel with a = -0.5 (Keys 1981)."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def bilinear(x: float) -> float:
    """Return the triangle kernel."""
    return max(0.0, 1 - abs(x))


def lanczos(x: float) -> float:
    """Return the Lanczos kernel of three lobes."""
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0


def resampled(
    rgb: Pixels, side: int | tuple[int, int], kernel: Callable[[float], float], support: float
) -> Pixels:
    """Return a picture squeezed to side x side; the kernel widens where the picture shrinks.

    side: one number, or width and height.
    """
    width, height = (side, side) if isinstance(side, int) else side
    across = _weights(rgb.shape[1], width, kernel, support)
    down = _weights(rgb.shape[0], height, kernel, support)
    rows = np.rint(np.tensordot(rgb, across, (1, 1))).clip(0, 255)  # height x channels x width
    tall = np.tensordot(down, rows, (1, 0)).transpose(0, 2, 1)
    return np.asarray(np.rint(tall).clip(0, 255), np.uint8)


def _weights(
    size: int, side: int, kernel: Callable[[float], float], support: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the weight of each input pixel in each output pixel: side x size."""
    scale = size / side
    width = max(scale, 1.0)
    weights = np.zeros((side, size))
    for out in range(side):
        centre = (out + 0.5) * scale
        first = max(0, int(centre - support * width + 0.5))
        last = min(size, int(centre + support * width + 0.5))
        for i in range(first, last):
            weights[out, i] = kernel((i - centre + 0.5) / width)
        weights[out] /= math.fsum(weights[out])
    return weights
