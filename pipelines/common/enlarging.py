"""What every enlargement of a picture needs: colours without blocks and fringes, and an alpha without halos."""

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.jpeg_blocks import remove_jpeg_blocks
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import Size, resize

REACH = 24
"""Distance in input pixels within which an input pixel can influence an output pixel."""


def colours_to_enlarge(picture: Picture) -> Rgb:
    """Return the colours of a picture without JPEG blocks; hidden ones are those of the nearest visible pixel."""
    rgb = remove_jpeg_blocks(picture.rgb)
    return rgb if picture.alpha is None else _spread_visible(rgb, picture.alpha)


def enlarge_alpha(alpha: Alpha8 | None, size: Size) -> Alpha8 | None:
    """Return alpha enlarged to `size` (width, height), without halos beside edges; None stays None."""
    # Cubic: its overshoot at an edge is a single lobe, which is clipped at 0 or 255. The further
    # lobes of Lanczos would leave a faint halo beside the edge.
    return None if alpha is None else resize(alpha, size, cv2.INTER_CUBIC)


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
