"""Putting a subject on another background without a trace of the old one."""

import cv2
import numpy as np

from imaging.foreground import estimate_foreground
from imaging.picture import Alpha8, Picture, Rgb

_STRIP = 128
"""How many rows of the full picture are worked on at once."""


def cut_out(picture: Picture, alpha: Alpha8) -> Picture:
    """Give the subject with opacity `alpha` (height x width), free of the old background's colour.

    Where `alpha` is the picture's own, its colours are kept as they are.
    """
    return Picture(estimate_foreground(picture.rgb, visible_share(alpha, picture.alpha)), alpha)


def visible_share(alpha: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Give the share, 0..255, that a subject of opacity `alpha` has of what `own` lets be seen."""
    if own is None:
        return alpha
    share = alpha.astype(np.uint16)
    share *= 255
    share += own // 2
    share //= np.maximum(own, 1)
    return np.minimum(share, 255).astype(np.uint8)


def over(front: Rgb, alpha: Alpha8, back: Rgb) -> Rgb:
    """Lay `front` on the opaque `back`; each value is rounded to nearest, exact at 0 and 255."""
    result = np.empty_like(back)
    for top in range(0, alpha.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        a = cv2.merge([alpha[rows]] * 3).astype(np.uint16)
        mixed = a * front[rows]
        np.subtract(255, a, out=a)
        a *= back[rows]
        mixed += a
        mixed += 128
        # (x + x / 256) / 256 is x / 255 rounded down, exactly, for 16-bit x.
        mixed += mixed >> 8
        mixed >>= 8
        result[rows] = mixed
    return result
