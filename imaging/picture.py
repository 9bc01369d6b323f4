"""The picture that every pipeline takes and returns, and the types of its pixels.

Every array is a NumPy array in C order. The channel order is RGB, never BGR.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""Height x width x 3, uint8, 0..255, sRGB."""
Alpha = NDArray[np.float32]
"""Height x width, float32, from 0 (transparent) to 1 (opaque)."""
Matte = NDArray[np.uint8]
"""Height x width, uint8, from 0 (background) to 255 (subject)."""
Mask = NDArray[np.bool_]
"""Height x width, bool. True marks the pixels that are edited."""
Labels = NDArray[np.uint8]
"""Height x width, uint8: the number of the part that a pixel belongs to, from 1. 0 means no part."""
Alpha8 = NDArray[np.uint8]
"""Height x width, uint8, from 0 (transparent) to 255 (opaque)."""

Window = tuple[slice, slice]
"""Rows and columns of a picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright sRGB picture. Its colours are not premultiplied by alpha.

    rgb: height x width x 3, uint8. alpha: height x width, uint8; None if the file had no alpha
    channel, so that every pixel is opaque.
    """

    rgb: Rgb
    alpha: Alpha8 | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.rgb.shape[0])
