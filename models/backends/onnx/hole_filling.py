"""Filling of holes in pictures of any size by a network that takes squares of one fixed size.

The network sees a crop around each group of holes, resized to its square. The result is resized
back. If that loses detail, `imaging.inpaint.resynthesis` puts full-size texture
of the surroundings in its place.
"""

from collections.abc import Callable

import cv2
import numpy as np

from imaging.inpaint.resynthesis import Layout, resynthesise
from imaging.inpaint.rim import match_rim
from imaging.masks import touched_blocks
from imaging.picture import Mask, Rgb, Window
from imaging.resize import block_means, resize
from imaging.windows import fill_by_windows, widened, with_context
from models.deadline import checkpoint
from models.errors import NothingToCopyError

SIDE = 512
"""Side of the network's square, in pixels."""
_MARGIN = 64
"""Least context on each side of a hole, in pixels of the picture."""
_CONTEXT = 0.3
"""Context on each side of a hole, as a share of its longer side."""
_SOFT = 1.5
"""A crop that is reduced by this factor or more gets its detail from the surroundings."""
_STRETCH = 2
"""Most that a side of a crop is stretched by."""
_FEW = 256
"""With fewer source pixels in a reduced crop, there is no texture to copy."""

Fill = Callable[[Rgb, Mask], Rgb]
"""Fills a square of SIDE pixels, which is black where the mask is True. It may return anything elsewhere."""


def fill_holes(rgb: Rgb, hole: Mask, avoid: Mask | None, network: Fill) -> Rgb:
    """Return `rgb` with `hole` filled; see `models.roles.Inpainting`.

    The network may copy from everything that it sees. So the avoided pixels are hidden from it like
    the hole. They are filled too, but that part of the fill is not used.
    """
    if not hole.any():
        return rgb.copy()
    hidden = hole if avoid is None else hole | avoid
    if hidden.all():
        raise NothingToCopyError("the hole leaves no pixel to continue from")

    def choose(part: Window) -> Window:
        return _crop(part, hidden)

    def fill(window: Window, own: Mask) -> Rgb:
        checkpoint()
        return _fill_crop(np.ascontiguousarray(rgb[window]), own, hidden[window], network)

    return fill_by_windows(rgb, hole, choose, fill)


def _crop(part: Window, hidden: Mask) -> Window:
    """Grow a part's window by its context, and to a square if the picture is large enough."""
    longer = max(side.stop - side.start for side in part)
    window = with_context(part, hidden, max(_MARGIN, round(_CONTEXT * longer)))
    return widened(window, max(SIDE, *(side.stop - side.start for side in window)), hidden.shape)


def _fill_crop(rgb: Rgb, hole: Mask, hidden: Mask, network: Fill) -> Rgb:
    """Fill one crop, and match the fill to its surroundings."""
    height, width = hole.shape
    small = _fill_square(rgb, hidden, network)
    filled = np.where(hidden[..., None], resize(small, (width, height), cv2.INTER_CUBIC), rgb)
    factor = max(height, width) / SIDE
    if factor < _SOFT:
        return match_rim(filled, hole, ~hidden)
    return _with_detail(rgb, filled, hole, hidden, round(factor))


def _fill_square(rgb: Rgb, hidden: Mask, network: Fill) -> Rgb:
    """Run the network on a crop that is stretched to its square; return the stretched crop, filled.

    A crop that is not square is stretched and not padded: in a padded square, margins that had to
    be continued outwards became holes between two pictures, in which MI-GAN invented objects. A
    side that is less than half of the square is stretched to twice its length, and mirrored.
    """
    height, width = (min(SIDE, _STRETCH * side) for side in hidden.shape)
    # One interpolation for both: so no pixel of the hole has an effect on a known one.
    small = resize(rgb, (width, height), cv2.INTER_LINEAR)
    mask = resize(hidden.astype(np.float32), (width, height), cv2.INTER_LINEAR) > 0
    known = np.where(mask[..., None], np.uint8(0), small)
    below, right = SIDE - height, SIDE - width
    square = np.pad(known, ((0, below), (0, right), (0, 0)), mode="symmetric")
    hole = np.pad(mask, ((0, below), (0, right)), mode="symmetric")
    return network(square, hole)[:height, :width]


def _with_detail(rgb: Rgb, filled: Rgb, hole: Mask, hidden: Mask, scale: int) -> Rgb:
    """Return `filled`, which is soft inside the hole, with texture of the surroundings there."""
    source = ~touched_blocks(hidden, scale)
    # Blocks that extend beyond the crop contain padding.
    source[hole.shape[0] // scale :] = False
    source[:, hole.shape[1] // scale :] = False
    if np.count_nonzero(source) < _FEW:
        return match_rim(filled, hole, ~hidden)
    small = block_means(filled, (scale, scale))
    layout = Layout(hole, ~hidden, small, touched_blocks(hole, scale), source, scale)
    return resynthesise(rgb, layout)
