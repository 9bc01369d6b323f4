"""Laying one picture over another: subjects on other backgrounds, new pixels into holes."""

import cv2
import numpy as np

from imaging.foreground import estimate_foreground
from imaging.picture import Alpha8, Mask, Picture, Rgb, Window
from imaging.resize import resize

_STRIP = 128
"""How many rows of the full picture are worked on at once."""
_FEATHER = 0.01
"""Width of the seam inside a hole, as a share of the shorter side."""


def cut_out(picture: Picture, alpha: Alpha8) -> Picture:
    """Return the subject with opacity `alpha` (height x width), free of the old background's colour.

    Where `alpha` is the picture's own, its colours are kept as they are.
    """
    return Picture(estimate_foreground(picture.rgb, visible_share(alpha, picture.alpha)), alpha)


def visible_share(alpha: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Return the share, 0..255, that a subject of opacity `alpha` has of what `own` lets be seen."""
    if own is None:
        return alpha
    share = alpha.astype(np.uint16)
    share *= 255
    share += own // 2
    share //= np.maximum(own, 1)
    return np.minimum(share, 255).astype(np.uint8)


def over(front: Rgb, alpha: Alpha8, back: Rgb) -> Rgb:
    """Return `front` laid on the opaque `back`: `back` where `alpha` is 0, `front` where it is 255.

    All of one height and width; `back` may be a view that repeats one colour. Each value is rounded
    to nearest, and exact at both ends.
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
        # (x + x / 256) / 256 is x / 255 rounded down, exactly, for 16-bit x.
        mixed += mixed >> 8
        mixed >>= 8
        result[rows] = mixed
    return result


def flatten(rgb: Rgb, alpha: Alpha8, colour: tuple[int, int, int] | int) -> Rgb:
    """Return a picture laid on one colour: sRGB, or a grey, of 0..255."""
    return over(rgb, alpha, np.broadcast_to(np.asarray(colour, np.uint8), rgb.shape))


def seam(hole: Mask) -> Alpha8:
    """Return how much of the new pixels a hole takes, 0..255: 0 outside, rising to 255 inside it.

    It rises over a hundredth of the shorter side. Borders of the picture are no seam.
    """
    if hole.all():
        return np.full(hole.shape, 255, np.uint8)
    width = max(1.0, _FEATHER * min(hole.shape))
    inside = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 5)
    # The first pixel inside is 1 away: it takes a part already, so that a hole of one pixel is filled.
    weight = np.clip((inside + 1) / (width + 1), 0, 1) * 255
    weight[~hole] = 0
    return np.asarray(np.rint(weight), np.uint8)


def paste(rgb: Rgb, hole: Mask, window: Window, made: Rgb) -> Rgb:
    """Return a copy of `rgb` with new pixels in the hole of a window, the seam blended inside the hole.

    made: the window at any size. Outside the hole the result is `rgb`, bit for bit.
    """
    result = rgb.copy()
    part, part_hole = result[window], hole[window]
    fresh = resize(made, (part.shape[1], part.shape[0]))
    result[window] = over(fresh, seam(part_hole), part)
    return result
