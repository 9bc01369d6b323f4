"""The picture that every pipeline takes and gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.base import Rgb

Alpha8 = NDArray[np.uint8]
"""Height x width, 0 transparent to 255 opaque."""


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
