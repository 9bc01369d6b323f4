"""image/increase_resolution: enlarge a picture, its transparency with it."""

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize
from models.roles import SUPER_RESOLUTION, Models

REACH = 24
"""Pixels of the given picture beyond which no pixel has a say in an enlarged one."""


def image_increase_resolution(
    picture: Picture, models: Models, desired_increase: int = 2
) -> Picture:
    """Return `picture` at `desired_increase` (2 or 4) times its width and height, alpha included.

    Colours hidden under full transparency have no influence on what is seen.
    Raises ValueError for another factor.
    """
    rgb, alpha = picture.rgb, picture.alpha
    if alpha is not None:
        rgb = _spread_visible(rgb, alpha)
    with models.use(SUPER_RESOLUTION) as model:
        large = model.upscale(rgb, desired_increase)
    return Picture(large, None if alpha is None else _enlarge_alpha(alpha, desired_increase))


def _enlarge_alpha(alpha: Alpha8, factor: int) -> Alpha8:
    """Return alpha at `factor` times its size, without a ghost beside edges."""
    # Cubic, as its overshoot at an edge is a single lobe that ends at 0 or 255; the further lobes
    # of Lanczos would leave a faint ghost beside the edge.
    size = (alpha.shape[1] * factor, alpha.shape[0] * factor)
    return resize(alpha, size, cv2.INTER_CUBIC)


def _spread_visible(rgb: Rgb, alpha: Alpha8) -> Rgb:
    """Put the nearest visible colour on wholly transparent pixels.

    Programs store anything there, often black, which would bleed into the edge as a fringe.
    Beyond REACH of all visible pixels the colour is flat, which is quick to enlarge.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return rgb
    spread = np.where(hidden[..., None], np.uint8(0), rgb)
    return fill_from_nearest(spread, ~hidden, reach=REACH)
