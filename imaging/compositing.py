"""Compositing: subjects on a new background, and new pixels in a hole."""

import cv2
import numpy as np

from imaging.foreground import estimate_foreground
from imaging.picture import Alpha8, Mask, Picture, Rgb, Window
from imaging.resize import resize

_STRIP = 128
"""Rows of the full picture that are processed at once."""
_FEATHER = 0.01
"""Width of the blended seam inside a hole, as a share of the shorter side."""


def cut_out(picture: Picture, alpha: Alpha8) -> Picture:
    """Return the subject with opacity `alpha` (height x width), without the old background's colour.

    Where `alpha` equals the picture's own alpha, its colours stay unchanged.
    """
    return Picture(estimate_foreground(picture.rgb, visible_share(alpha, picture.alpha)), alpha)


def visible_share(alpha: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Return `alpha` divided by `own`, 0..255: the subject's share of the visible part of each pixel.

    own: the opacity of the whole picture; None if it is opaque.
    """
    if own is None:
        return alpha
    share = alpha.astype(np.uint16)
    share *= 255
    share += own // 2
    share //= np.maximum(own, 1)
    return np.minimum(share, 255).astype(np.uint8)


def over(front: Rgb, alpha: Alpha8, back: Rgb) -> Rgb:
    """Return `front` over the opaque `back`: `back` where `alpha` is 0, `front` where it is 255.

    All three have the same height and width. `back` may be a view that repeats one colour. Each
    value is rounded to nearest, and exact where alpha is 0 or 255.
    """
    result = np.empty(front.shape, np.uint8)
    for top in range(0, alpha.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        a = cv2.merge([alpha[rows]] * 3).astype(np.uint16)
        mixed = a * front[rows]
        np.subtract(255, a, out=a)
        a *= back[rows]
        mixed += a
        mixed += 128
        # (x + x / 256) / 256 is exactly x / 255 rounded down, for 16-bit x.
        mixed += mixed >> 8
        mixed >>= 8
        result[rows] = mixed
    return result


def flatten(rgb: Rgb, alpha: Alpha8, colour: tuple[int, int, int] | int) -> Rgb:
    """Return a picture over one colour. colour: sRGB or one grey value, 0..255."""
    return over(rgb, alpha, np.broadcast_to(np.asarray(colour, np.uint8), rgb.shape))


def seam(hole: Mask) -> Alpha8:
    """Return the opacity of the new pixels in a hole, 0..255: 0 outside, rising to 255 inside.

    It rises over a hundredth of the shorter side. There is no seam along the picture's own borders.
    """
    if hole.all():
        return np.full(hole.shape, 255, np.uint8)
    width = max(1.0, _FEATHER * min(hole.shape))
    inside = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 5)
    # The first pixel inside has distance 1. It must take a part already, or a one-pixel hole stays empty.
    weight = np.clip((inside + 1) / (width + 1), 0, 1) * 255
    weight[~hole] = 0
    return np.asarray(np.rint(weight), np.uint8)


def paste(rgb: Rgb, hole: Mask, window: Window, made: Rgb) -> Rgb:
    """Return a copy of `rgb` with new pixels in the hole of a window.

    The seam is blended inside the hole. made: the new pixels of the window, at any size. Outside
    the hole the result is `rgb`, bit for bit.
    """
    result = rgb.copy()
    part, part_hole = result[window], hole[window]
    fresh = resize(made, (part.shape[1], part.shape[0]))
    result[window] = over(fresh, seam(part_hole), part)
    return result
