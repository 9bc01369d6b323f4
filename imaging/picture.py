"""The picture that every pipeline takes and returns, and the types of its pixels.

Every array is a NumPy array in C order; pictures are RGB, never BGR.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""Height x width x 3, 0..255, sRGB."""
Alpha = NDArray[np.float32]
"""Height x width, 0..1."""
Matte = NDArray[np.uint8]
"""Height x width, 0 on the background to 255 on the subject."""
Mask = NDArray[np.bool_]
"""Height x width, True where edited."""
Labels = NDArray[np.uint8]
"""Height x width, the number of the part that a pixel belongs to, from 1; 0 for none."""
Alpha8 = NDArray[np.uint8]
"""Height x width, 0 transparent to 255 opaque."""

Window = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright sRGB picture; its pixels are not premultiplied by alpha.

    rgb: height x width x 3, uint8. alpha: height x width, uint8, or None when wholly opaque by nature
    (the file had no alpha channel).
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
