"""Background blur: the subject stays sharp, the background is blurred like behind a lens."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import over, visible_share
from imaging.foreground import estimate_foreground, gather, spread
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize
from models.roles import Models
from pipelines.common.subject import has_cut_out, subject_alpha

_RADII = (0.004, 0.008, 0.014, 0.022, 0.034)
"""Radius of the blur disc at each strength, as a share of the picture's diagonal."""
_MAX_DISC_RADIUS = 8
"""Largest radius of the disc in pixels; for a larger blur the picture is reduced first."""
_GUARD_SIDE = 5
"""Side of the square by which the subject is grown: colours this close may be mixed with its own."""
_GAMMA = 2.2
"""Exponent that approximates the sRGB transfer curve."""


def background_blur(
    picture: Picture, models: Models, scale: int = 5, force_rmbg: bool = False
) -> Picture:
    """Return the picture with its background blurred.

    scale: 1 (slight) to 5 (strong). Where the subject is fully opaque, its pixels do not change, and
    none of its colour spreads into the background. The alpha channel does not change. A picture whose
    alpha cuts out its subject has no background to blur and is returned unchanged. force_rmbg: find the
    subject by matting the colours alone, and blur them, also where the alpha channel hides them.

    Raises ValueError if `scale` is not 1..5.
    """
    if not 1 <= scale <= len(_RADII):
        raise ValueError(f"scale is {scale}, must be 1 to {len(_RADII)}")
    source = Picture(picture.rgb) if force_rmbg else picture
    if has_cut_out(source):
        return picture
    share = visible_share(subject_alpha(source, models), source.alpha)
    radius = _RADII[scale - 1] * float(np.hypot(picture.width, picture.height))
    background = _lens_blur(picture.rgb, _not_background(share, source.alpha), radius)
    return Picture(over(estimate_foreground(picture.rgb, share), share, background), picture.alpha)


def _not_background(share: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Return how much of each pixel is not background: 0 nothing, 255 all."""
    foreign = share if own is None else np.maximum(share, 255 - own)
    return np.asarray(cv2.dilate(foreign, np.ones((_GUARD_SIDE, _GUARD_SIDE), np.uint8)), np.uint8)


def _lens_blur(rgb: Rgb, foreign: Alpha8, radius: float) -> Rgb:
    """Blur with a disc of `radius` pixels and ignore the colours that `foreign` (0..255) marks."""
    height, width = foreign.shape
    step = max(1, int(np.ceil(radius / _MAX_DISC_RADIUS)))
    gathered = gather(rgb, 255 - foreign, (min(step, height), min(step, width)))
    # The area behind the subject takes the colours around it.
    scene = gathered[..., :3] + (1 - gathered[..., 3:]) * spread(gathered)
    # Blurred in linear light, so that bright spots become discs as in a lens.
    linear = (np.clip(scene, 0, 255) / 255) ** np.float32(_GAMMA)
    blurred = cv2.filter2D(linear, -1, _disc(radius / step), borderType=cv2.BORDER_REFLECT)
    encoded = np.clip(blurred, 0, 1) ** np.float32(1 / _GAMMA)
    reduced = np.rint(encoded * 255).astype(np.uint8)
    size = (reduced.shape[1] * min(step, width), reduced.shape[0] * min(step, height))
    return np.ascontiguousarray(resize(reduced, size, cv2.INTER_CUBIC)[:height, :width])


def _disc(radius: float) -> NDArray[np.float32]:
    """Return a disc of `radius` pixels with a smooth edge as a filter kernel; its sum is 1."""
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum(), np.float32)
