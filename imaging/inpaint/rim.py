"""Colours of a filled hole, matched to the known pixels at its rim.

A network's fill may be a few levels brighter or redder than what surrounds the hole, which shows as
an outline on a smooth wall or sky. The step is measured along the rim and faded out inside the hole
(compare `imaging.inpaint.screened_poisson`, which also needs the sources of copied pixels).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.masks import bounds
from imaging.picture import Mask, Rgb
from imaging.windows import grown

_BAND = 3
"""Pixels on each side of the rim whose colours are compared."""
_ALONG = 8
"""The colours are means over the band within this many pixels along the rim: texture cancels out."""
_REACH = 24
"""Pixels inside the hole over which the correction fades."""
_EDGE = 16.0
"""A larger step, in levels of 0..255, counts as a real edge, such as an outline that ends at the rim."""
Float = NDArray[np.float32]


def match_rim(filled: Rgb, hole: Mask, known: Mask) -> Rgb:
    """Return `filled` without a step of mean colour at the rim of `hole`.

    known: True for pixels that are not made up. hole, known: height x width. Outside the hole the
    result equals `filled`.
    """
    box = bounds(hole)
    if box is None or not known.any():
        return filled
    window = grown(box, _BAND + _ALONG, hole.shape)
    out = filled.copy()
    part = filled[window].astype(np.float32)
    change = _correction(part, hole[window], known[window])
    changed = np.rint((part + change).clip(0, 255)).astype(np.uint8)
    np.copyto(out[window], changed, where=hole[window][..., None])
    return out


def _correction(colours: Float, hole: Mask, known: Mask) -> Float:
    """Return what to add to each pixel: height x width x 3."""
    depth = _distance(hole)
    inner = hole & (depth <= _BAND)
    outer = known & (_distance(~hole) <= _BAND)
    (mean_in, near_in), (mean_out, near_out) = (_means(colours, of) for of in (inner, outer))
    rim = (inner & near_in & near_out).astype(np.float32)
    step = mean_out - mean_in
    size = np.abs(step).max(axis=2, keepdims=True)
    step /= 1 + (size / _EDGE) ** 2
    spread = cv2.GaussianBlur(np.dstack([step * rim[..., None], rim]), (0, 0), _REACH / 2)
    smooth = spread[..., :3] / np.maximum(spread[..., 3:], 1e-6)
    fade = (1 - depth / _REACH).clip(0, 1) ** 2
    return np.asarray(smooth * fade[..., None], np.float32)


def _distance(mask: Mask) -> Float:
    """Return the distance of each True pixel from the nearest False one, in pixels."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3), np.float32)


def _means(colours: Float, of: Mask) -> tuple[Float, Mask]:
    """Return the mean colour of the pixels in `of` around each pixel, and whether there are any."""
    side = (2 * _ALONG + 1,) * 2
    weight = of.astype(np.float32)
    share = np.asarray(cv2.blur(weight, side, borderType=cv2.BORDER_CONSTANT), np.float32)
    total = cv2.blur(colours * weight[..., None], side, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total / np.maximum(share, 1e-6)[..., None], np.float32), share > 1e-4
