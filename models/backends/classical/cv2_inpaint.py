"""Prompt-free inpainting by continuing the surroundings into the hole, as OpenCV does it: fast, smooth.

For thin things and for callers who want speed; it makes no texture. A card of the user's own profile.
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
"""Pixels around each one that it is made of."""
_MARGIN = 3 * _RADIUS
"""What lies farther from a hole has no part in it."""


class Cv2Inpaint:
    """Fulfils `models.roles.Inpainting` by Navier-Stokes (Bertalmio et al. 2001); holds no state."""

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls()

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see models.roles.Inpainting. What is avoided is filled as well, and put back."""
        unknown = hole if avoid is None else hole | avoid
        if hole.any() and unknown.all():
            raise NothingToCopyError("the hole leaves no pixel to copy from")

        def choose(part: Window) -> Window:
            window = grown(part, _MARGIN, hole.shape)
            if unknown[window].all():  # its sources lie beyond what is to be avoided
                return slice(0, hole.shape[0]), slice(0, hole.shape[1])
            return window

        def fill(window: Window, _: Mask) -> Rgb:
            mask = unknown[window].astype(np.uint8)
            part = np.ascontiguousarray(rgb[window])
            return np.asarray(cv2.inpaint(part, mask, _RADIUS, cv2.INPAINT_NS), np.uint8)

        return fill_by_windows(rgb, hole, choose, fill)
