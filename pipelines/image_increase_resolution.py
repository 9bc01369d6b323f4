"""Super-resolution: enlarge a picture together with its alpha channel."""

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.jpeg_blocks import remove_jpeg_blocks
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize
from models.roles import SUPER_RESOLUTION, Models

REACH = 24
"""Distance in input pixels within which an input pixel can influence an output pixel."""


def image_increase_resolution(
    picture: Picture, models: Models, desired_increase: int = 2
) -> Picture:
    """Return `picture` at `desired_increase` (2 or 4) times its width and height, alpha included.

    The blocks of strong JPEG compression are removed before (`imaging.jpeg_blocks`). The colours of fully
    transparent pixels do not influence visible pixels.
    Raises ValueError for any other factor.
    """
    rgb, alpha = remove_jpeg_blocks(picture.rgb), picture.alpha
    if alpha is not None:
        rgb = _spread_visible(rgb, alpha)
    with models.use(SUPER_RESOLUTION) as model:
        enlarged = model.upscale(rgb, desired_increase)
    return Picture(enlarged, None if alpha is None else _enlarge_alpha(alpha, desired_increase))


def _enlarge_alpha(alpha: Alpha8, factor: int) -> Alpha8:
    """Return alpha at `factor` times its size, without halos beside edges."""
    # Cubic: its overshoot at an edge is a single lobe, which is clipped at 0 or 255. The further
    # lobes of Lanczos would leave a faint halo beside the edge.
    size = (alpha.shape[1] * factor, alpha.shape[0] * factor)
    return resize(alpha, size, cv2.INTER_CUBIC)


def _spread_visible(rgb: Rgb, alpha: Alpha8) -> Rgb:
    """Set fully transparent pixels to the colour of the nearest visible pixel.

    Programs store any colour there, often black, which would show as a fringe along the edge.
    Farther than REACH from every visible pixel the colour is constant, which is fast to enlarge.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return rgb
    spread = np.where(hidden[..., None], np.uint8(0), rgb)
    return fill_from_nearest(spread, ~hidden, reach=REACH)
