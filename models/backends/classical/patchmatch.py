"""Inpainting by PatchMatch, which copies texture from elsewhere in the picture.

The library `pypatchmatch` fills the hole in a crop around it, reduced to about 80,000 pixels. At
that size its patches cover whole structures, such as a stem or the edge of a trunk. It continues
them better, and several times faster, than at full size. The full-size texture then comes from
`imaging.inpaint.resynthesis`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import patchmatch

from imaging.inpaint.nearest import fill_from_nearest
from imaging.inpaint.resynthesis import Layout, resynthesise
from imaging.masks import dilate_square, is_thin, touched_blocks
from imaging.picture import Mask, Rgb, Window
from imaging.resize import block_means
from imaging.windows import fill_by_windows, grown
from models.device import DeviceConfig
from models.errors import NothingToCopyError

_COARSE_PIXELS = 80_000
_LARGE_HOLE = 0.4  # share of the crop; above it, wide patches are slow and find too few sources
_LEAST_MARGIN = 48
_EXTRAPOLATION = 3  # pixels: the distance from which a thin hole is extrapolated
_TINY = 12  # with shorter sides there is no room for patches
_FEW = 49  # with fewer source pixels there is no choice of patches, and the library leaves black


class PatchMatch:
    """Implements the role `models.roles.Inpainting`. It has no state; several threads may call it.

    At the start of each call, the library seeds its random generator, one per thread. So the same
    input gives the same output, whatever other threads do, as long as nobody sets the process-wide
    seed.
    """

    copies_texture = True
    """See `models.roles.Inpainting`."""

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls()

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see `models.roles.Inpainting`."""
        if not hole.any():
            return rgb.copy()
        source = ~hole if avoid is None else ~(hole | avoid)
        if not source.any():
            raise NothingToCopyError("the hole leaves no pixel to copy from")

        def fill(window: Window, own: Mask) -> Rgb:
            return _fill_crop(np.ascontiguousarray(rgb[window]), own, source[window])

        return fill_by_windows(rgb, hole, lambda part: _crop(part, hole, source), fill)


def _crop(part: Window, hole: Mask, source: Mask) -> Window:
    """Grow a part's window by a margin proportional to its size, until it has enough source pixels."""
    rows, columns = part
    needed = min(int(hole[part].sum()), int(source.sum()))
    margin = max(_LEAST_MARGIN, 3 * max(rows.stop - rows.start, columns.stop - columns.start) // 4)
    while True:
        window = grown(part, margin, hole.shape)
        if np.count_nonzero(source[window]) >= needed:
            return window
        margin *= 2


def _fill_crop(rgb: Rgb, hole: Mask, source: Mask) -> Rgb:
    """Fill one crop.

    A thin hole is extrapolated; any other is filled at a small size and resynthesised.
    """
    if is_thin(hole) and _sources_around(hole, source):
        return _extrapolate(rgb, hole)
    scale = max(1, round(float(np.sqrt(hole.size / _COARSE_PIXELS))))
    coarse_hole = touched_blocks(hole, scale)
    coarse_source = ~touched_blocks(~source, scale)
    # Blocks that extend beyond the crop contain padding.
    coarse_source[hole.shape[0] // scale :] = False
    coarse_source[:, hole.shape[1] // scale :] = False
    if min(coarse_hole.shape) < _TINY or np.count_nonzero(coarse_source) < _FEW:
        return fill_from_nearest(rgb, source, hole)
    small = block_means(rgb, (scale, scale))
    blocked = ~(coarse_hole | coarse_source)
    radius = 3 if coarse_hole.mean() > _LARGE_HOLE else 5
    filled: Rgb = patchmatch.inpaint(
        small, coarse_hole, global_mask=blocked if blocked.any() else None, patch_size=radius
    )
    if scale == 1:
        return filled
    layout = Layout(hole, source, filled, coarse_hole, coarse_source, scale)
    return resynthesise(rgb, layout)


def _sources_around(hole: Mask, source: Mask) -> bool:
    """Whether all pixels that an extrapolation of the hole sees are sources."""
    seen = dilate_square(hole, _EXTRAPOLATION + 1)
    return bool((hole | source)[seen].all())


def _extrapolate(rgb: Rgb, hole: Mask) -> Rgb:
    """Continue the surroundings into a thin hole.

    A. Telea, "An image inpainting technique based on the fast marching method", 2004.
    """
    return cv2.inpaint(rgb, hole.astype(np.uint8), _EXTRAPOLATION, cv2.INPAINT_TELEA).astype(
        np.uint8
    )
