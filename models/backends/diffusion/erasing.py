"""Erasing with LaMa, whose fills of large holes a model that edits pictures by words makes again.

LaMa continues texture and structure into small holes at a fraction of the cost. Large ones it smears.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from torch import nn

from imaging.compositing import over, seam
from imaging.masks import touched
from imaging.picture import Mask, Rgb, Window
from imaging.resize import resize, working_size
from imaging.windows import fill_by_windows, with_context
from models.backends.diffusion.editing_model import SIDE, EditingModel, edit_hole
from models.backends.diffusion.shared import shared
from models.backends.torch.lama import Lama
from models.backends.weight_files import only_file
from models.device import DeviceConfig

_PROMPT = (
    "Make the blurred part of the picture sharp: it is plain background that continues its"
    " surroundings, in the same perspective, light and colours. Add no object and no person. Keep"
    " the rest exactly as it is."
)
_STRENGTH = 0.7
"""Of the second fill: LaMa's layout stays, its blur does not. A judgement, not tried on published weights."""
_DEPTH_SHARE, _LEAST_DEPTH = 0.02, 24
"""A hole is large if a pixel in it is farther from its edge than this: a share of the picture's shorter
side, and pixels. A judgement."""
_LEAST_MARGIN = 64
_SEED = 0


class EraseByEditing:
    """Implements the role `models.roles.Inpainting`: LaMa first, then an editing model in large holes.

    kind: the editing model's class, whose weights are in memory once for all its roles. lama: the class of
    LaMa.
    """

    kind: ClassVar[Any]
    lama: ClassVar[type[Lama]] = Lama

    def __init__(
        self, lama: Path, folder: Path, device_config: DeviceConfig, side: int = SIDE
    ) -> None:
        """Load LaMa's file and a folder in hub layout; raises BadWeightsError.

        side: of a square picture at the editing model's own area, in pixels.
        """
        self._lama = self.lama(lama, device_config)
        self._pipeline: EditingModel = shared(self.kind, folder, device_config, side=side)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, side: int = SIDE) -> Self:
        """Load the model of a card; paths: LaMa's file, or its folder, and the pipeline."""
        return cls(only_file(paths[0]), paths[1], device_config, side)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return [*self._lama.networks(), *self._pipeline.networks()]

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see the role. LaMa obeys `avoid`; the second fill is told to add nothing."""
        coarse = self._lama.fill(rgb, hole, avoid)

        def choose(part: Window) -> Window:
            half = max((side.stop - side.start) // 2 for side in part)
            return with_context(part, hole, max(_LEAST_MARGIN, half))

        def refine(window: Window, own: Mask) -> Rgb:
            old = coarse[window]
            if not _is_large(own, hole.shape):
                return old
            return over(self._refined(old, own), seam(own), old)

        return fill_by_windows(coarse, hole, choose, refine)

    def _refined(self, part: Rgb, hole: Mask) -> Rgb:
        """Return a part of a picture at its own size, with new pixels in a hole."""
        size = working_size(part.shape[1], part.shape[0], self._pipeline.sizes)
        small, mask = resize(part, size), touched(hole, size)
        (made,) = edit_hole(self._pipeline, [small], _PROMPT, "", [_SEED], mask, strength=_STRENGTH)
        return resize(made, (part.shape[1], part.shape[0]))


def _is_large(hole: Mask, shape: tuple[int, ...]) -> bool:
    """Whether a hole is too large for LaMa alone. shape: height and width of the whole picture."""
    return _depth(hole) > max(_LEAST_DEPTH, _DEPTH_SHARE * min(shape))


def _depth(hole: Mask) -> float:
    """Return how far the deepest pixel of a hole is from its edge; the picture's border is none."""
    if hole.all():
        return float(max(hole.shape))
    away = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    return float(away.max())
