"""Inpainting by OpenCV, which continues the surroundings smoothly into the hole: fast, without texture.

It suits thin holes, and callers who need speed. No built-in profile uses it: it is for users' own
profiles.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from imaging.picture import Mask, Rgb, Window
from imaging.windows import fill_by_windows, grown
from models.device import DeviceConfig
from models.errors import NothingToCopyError

_RADIUS = 4
"""Radius, in pixels, of the neighbourhood that each pixel is computed from."""
_MARGIN = 3 * _RADIUS
"""Pixels around a hole that can influence it."""


class Cv2Inpaint:
    """Implements `models.roles.Inpainting` with the Navier-Stokes method. It has no state.

    Bertalmio, Bertozzi and Sapiro, "Navier-Stokes, fluid dynamics, and image and video inpainting",
    CVPR 2001.
    """

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls()

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see `models.roles.Inpainting`.

        Avoided pixels are filled too, and then restored.
        """
        unknown = hole if avoid is None else hole | avoid
        if hole.any() and unknown.all():
            raise NothingToCopyError("the hole leaves no pixel to copy from")

        def choose(part: Window) -> Window:
            window = grown(part, _MARGIN, hole.shape)
            if unknown[window].all():  # the known pixels are farther away, beyond the avoided ones
                return slice(0, hole.shape[0]), slice(0, hole.shape[1])
            return window

        def fill(window: Window, _: Mask) -> Rgb:
            mask = unknown[window].astype(np.uint8)
            part = np.ascontiguousarray(rgb[window])
            return np.asarray(cv2.inpaint(part, mask, _RADIUS, cv2.INPAINT_NS), np.uint8)

        return fill_by_windows(rgb, hole, choose, fill)
