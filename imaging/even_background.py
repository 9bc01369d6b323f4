"""A subject before an even background, found without a network: by its distance from the border's colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.guided_matting import refine
from imaging.picture import Mask, Matte, Rgb
from imaging.resize import resize, within_side

Float = NDArray[np.float32]

_SIDE = 512
"""Longest side, in pixels, at which the picture is compared with its border's colour."""
_RIM = 0.02
"""Width of the border that shows the background, as a share of the shorter side."""
_ROUNDS = 6
"""Fits of the border's colour; after each one, pixels far from it do not count."""
_OUTLIER = 6.0
"""Levels of 0..255: a border pixel farther from the fit, and from 2.5 medians, is not background."""
_MOST_NOISE = 6.0
"""Levels: a border with more noise (95th percentile) is not even."""
_LEAST_EVEN = 0.8
"""Share of the border that must be background: the subject may cut through the rest."""
_LEAST_CONTRAST, _RAMP = 3.0, 6.0
"""Levels: what differs less, or less than twice the noise, is background; alpha rises over the second."""
_LEAST_AREA = 0.002
"""Share of the picture: a smaller subject is dust."""
_SPECK = 0.01
"""Parts below this share of the largest part are dust."""


def matte_on_even_background(rgb: Rgb) -> Matte | None:
    """Return the opacity of what stands out from an even background; None if nothing does.

    rgb: height x width x 3, uint8. The matte has the same height and width, uint8, 0..255. The
    background's colour is a quadratic function of the position, fitted to the border, so that light
    may fall off. None too if the border is not even: a photograph, noise. Holes inside the subject
    are filled, because a white thing on white has parts of the background's colour.
    """
    size = within_side(rgb.shape[1], rgb.shape[0], _SIDE)
    small = cv2.GaussianBlur(resize(rgb, size).astype(np.float32), (0, 0), 1)
    fit = _background(np.asarray(small, np.float32))
    if fit is None:
        return None
    background, noise = fit
    distance = np.abs(small - background).max(2)
    least = max(_LEAST_CONTRAST, 2 * noise)
    coarse = np.clip((distance - least) / _RAMP, 0, 1).astype(np.float32)
    solid = _filled(_without_dust(coarse > 0.5))
    if solid.mean() < _LEAST_AREA:
        return None
    near = cv2.dilate(solid.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return refine(rgb, np.where(solid, np.float32(1), coarse * near).astype(np.float32))


def _background(small: Float) -> tuple[Float, float] | None:
    """Return the background's colours at every pixel and their noise, both in levels; None if uneven."""
    height, width = small.shape[:2]
    rim = np.ones((height, width), bool)
    edge = max(1, round(_RIM * min(height, width)))
    rim[edge:-edge, edge:-edge] = False
    terms = _quadratic(height, width)
    inputs, colours = terms[rim], small[rim]
    kept = np.ones(len(colours), bool)
    for _ in range(_ROUNDS):
        factors = np.linalg.lstsq(inputs[kept], colours[kept], rcond=None)[0]
        apart = np.abs(colours - inputs @ factors).max(1)
        kept = apart < max(_OUTLIER, 2.5 * float(np.median(apart)))
    noise = float(np.percentile(apart[kept], 95))
    if kept.mean() < _LEAST_EVEN or noise > _MOST_NOISE:
        return None
    return np.asarray(terms @ factors, np.float32), noise


def _quadratic(height: int, width: int) -> Float:
    """Return 1, x, y, x^2, y^2 and xy of each pixel, x and y from -1 to 1: height x width x 6."""
    y, x = np.meshgrid(
        np.linspace(-1, 1, height, dtype=np.float32),
        np.linspace(-1, 1, width, dtype=np.float32),
        indexing="ij",
    )
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)


def _without_dust(region: Mask) -> Mask:
    """Return a region without parts that are tiny beside its largest one."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= _SPECK * areas.max())[labels] & (labels > 0), np.bool_)


def _filled(region: Mask) -> Mask:
    """Return a region with its holes: what the background does not reach from the border."""
    height, width = region.shape
    outside = np.zeros((height + 2, width + 2), np.uint8)
    outside[1:-1, 1:-1] = region
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside[1:-1, 1:-1] != 2, np.bool_)
