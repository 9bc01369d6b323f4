"""Background blur: the subject stays sharp, all else goes out of focus as through a lens."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import over, visible_share
from imaging.foreground import estimate_foreground, gather, spread
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize
from models.roles import Models
from pipelines.common.subject import brings_alpha, subject_alpha

_RADII = (0.004, 0.008, 0.014, 0.022, 0.034)
"""Radius of the blur disc at each strength, as a share of the picture's diagonal."""
_WORK_RADIUS = 8
"""Longest radius, in pixels, of the disc itself; a larger one works on a reduced picture."""
_GUARD = 5
"""Pixels around the subject whose colour may be mixed with it, and is not spread."""
_GAMMA = 2.2


def background_blur(
    picture: Picture, models: Models, scale: int = 5, force_rmbg: bool = False
) -> Picture:
    """Return the picture with all but its subject out of focus, from `scale` 1 (slight) to 5.

    The subject is kept bit for bit where it is wholly opaque, and none of its colour reaches the
    surroundings. The picture's own alpha is carried over; a picture whose subject is told by its
    own alpha shows no background and is given back as it is.

    Raises ValueError when `scale` is not 1..5.
    """
    if not 1 <= scale <= len(_RADII):
        raise ValueError(f"scale is {scale}, must be 1 to {len(_RADII)}")
    if brings_alpha(picture) and not force_rmbg:
        return picture
    share = visible_share(subject_alpha(picture, models, force_rmbg), picture.alpha)
    radius = _RADII[scale - 1] * float(np.hypot(picture.width, picture.height))
    back = _out_of_focus(picture.rgb, _not_background(share, picture.alpha), radius)
    return Picture(over(estimate_foreground(picture.rgb, share), share, back), picture.alpha)


def _not_background(share: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Return how far each pixel shows something else than the background: 0 not at all, to 255."""
    other = share if own is None else np.maximum(share, 255 - own)
    return np.asarray(cv2.dilate(other, np.ones((_GUARD, _GUARD), np.uint8)), np.uint8)


def _out_of_focus(rgb: Rgb, other: Alpha8, radius: float) -> Rgb:
    """Blur by a disc, as if what `other` (0..255) marks were not there."""
    height, width = other.shape
    step = max(1, int(np.ceil(radius / _WORK_RADIUS)))
    found = gather(rgb, 255 - other, (min(step, height), min(step, width)))
    # What lies behind the subject is made up of the colours around it.
    scene = found[..., :3] + (1 - found[..., 3:]) * spread(found)
    # Light adds up in linear light: bright spots become discs, as in a lens.
    linear = (np.clip(scene, 0, 255) / 255) ** np.float32(_GAMMA)
    blurred = cv2.filter2D(linear, -1, _disc(radius / step), borderType=cv2.BORDER_REFLECT)
    seen = np.clip(blurred, 0, 1) ** np.float32(1 / _GAMMA)
    small = np.rint(seen * 255).astype(np.uint8)
    size = (small.shape[1] * min(step, width), small.shape[0] * min(step, height))
    return np.ascontiguousarray(resize(small, size, cv2.INTER_CUBIC)[:height, :width])


def _disc(radius: float) -> NDArray[np.float32]:
    """Return a disc of the given radius in pixels, smooth at its rim, that adds up to 1."""
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum(), np.float32)
