"""Putting a subject on another background without a trace of the old one."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from models.base import Rgb
from pipelines.picture import Alpha8, Picture

Float = NDArray[np.float32]

_WORK_SIDE = 512
"""Longest side, in pixels, at which colours are gathered from afar."""
_STRIP = 128
"""About how many rows of the full picture are worked on at once."""
_REACH = 3
"""Radius, in pixels of the full picture, over which neighbouring estimates are blended."""
_SPREAD = ((2, 1.0), (8, 1e-2), (32, 1e-4))
"""Radii of gathering and their weights: a far colour counts only where none is near."""
_PURITY = 16
"""Power on alpha: colours are gathered from pixels that are hardly mixed."""


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


def estimate_foreground(rgb: Rgb, alpha: Alpha8) -> Rgb:
    """Give the subject's own colour at every pixel, free of the background's.

    Where alpha is 255 the result is `rgb`, bit for bit; where it is 0, a colour of the subject
    nearby, so that scaling the cut-out brings no fringe. Between, foreground and background colours
    are gathered from the purest pixels around and corrected to blend to the seen colour, twice
    (after Forte, Pitie 2021, "Approximate fast foreground colour estimation").
    """
    if alpha.min() == 255:
        return rgb
    height, width = alpha.shape
    step = -(-max(height, width) // _WORK_SIDE)
    down, across = min(step, height), min(step, width)
    front = spread(*gather(rgb, alpha, (down, across)))
    back = spread(*gather(rgb, 255 - alpha, (down, across)))
    result = np.empty_like(rgb)
    for rows in _strips(height, down):
        part = slice(max(0, rows.start - _REACH), min(height, rows.stop + _REACH))
        fronts = _unmix(
            rgb[part],
            alpha[part],
            _enlarge(front, part, down, width),
            _enlarge(back, part, down, width),
        )
        result[rows] = fronts[rows.start - part.start : rows.stop - part.start]
    cv2.copyTo(rgb, cv2.inRange(alpha, 255, 255), result)
    return result


def over(front: Rgb, alpha: Alpha8, back: Rgb) -> Rgb:
    """Lay `front` on the opaque `back`; each value is rounded to nearest, exact at 0 and 255."""
    result = np.empty_like(back)
    for rows in _strips(alpha.shape[0], 1):
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


def gather(rgb: Rgb, alpha: Alpha8, block: tuple[int, int]) -> tuple[Float, Float]:
    """Reduce a picture to one pixel per block of rows and columns, counting pure pixels only.

    Gives the colours, 0..255 and multiplied by their weight, and the weights, 0..1: near 1 where
    alpha is 255 all over the block, near 0 where it is much less. Where no alpha is 255, the highest
    there is counts as pure: an unsure matte must not leave the picture without colours.
    """
    down, across = block
    height, width = alpha.shape
    shape = -(-height // down), -(-width // across)
    purity = np.minimum(np.arange(256) / max(1, int(alpha.max())), 1)
    table = np.rint(255 * purity**_PURITY).astype(np.uint8)
    colour: Float = np.zeros((*shape, 3), np.float32)
    weight: Float = np.zeros(shape, np.float32)
    for rows in _strips(height, down):
        pure = cv2.LUT(alpha[rows], table)
        out = slice(rows.start // down, -(-rows.stop // down))
        if pure.any():
            painted = cv2.multiply(rgb[rows], cv2.merge([pure] * 3), scale=1 / 255)
            size = (shape[1], out.stop - out.start)
            colour[out] = cv2.resize(painted, size, interpolation=cv2.INTER_AREA)
            weight[out] = cv2.resize(pure, size, interpolation=cv2.INTER_AREA)
    weight /= 255
    return colour, weight


def spread(colour: Float, weight: Float) -> Rgb:
    """Average what `gather` gives over ever wider surroundings, the nearest counting most."""
    total = np.full(weight.shape, 1e-6, np.float32)
    mean = colour.mean((0, 1)) / max(float(weight.mean()), 1e-6)
    result = total[..., None] * mean
    for radius, share in _SPREAD:
        size = (2 * radius + 1, 2 * radius + 1)
        result += np.float32(share) * cv2.blur(colour, size).reshape(colour.shape)
        total += np.float32(share) * cv2.blur(weight, size).reshape(weight.shape)
    return np.asarray(np.rint(np.clip(result / total[..., None], 0, 255)), np.uint8)


def _enlarge(small: Rgb, rows: slice, down: int, width: int) -> Rgb:
    """Give `rows` of the full picture from a picture of one pixel per block of `down` rows."""
    first, last = rows.start // down - 1, -(-rows.stop // down) + 1
    part = small[np.clip(np.arange(first, last), 0, len(small) - 1)]
    large = cv2.resize(part, (width, (last - first) * down), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[rows.start - first * down :][: rows.stop - rows.start], np.uint8)


def _unmix(rgb: Rgb, alpha: Alpha8, front: Rgb, back: Rgb) -> Rgb:
    """Correct `front` where alpha is partial, square by square of one strip."""
    result = front.copy()
    soft = cv2.inRange(alpha, 1, 254)
    for x in range(0, alpha.shape[1], _STRIP):
        if not soft[:, x : x + _STRIP].any():
            continue
        part = slice(max(0, x - _REACH), x + _STRIP + _REACH)
        seen, near, far = (i[:, part].astype(np.float32) for i in (rgb, front, back))
        a = cv2.merge([alpha[:, part]] * 3).astype(np.float32)
        a *= np.float32(1 / 255)
        near = _corrected(seen, a, near, far)
        size = (2 * _REACH + 1, 2 * _REACH + 1)
        share = cv2.blur(a, size)
        far = cv2.blur(far * (1 - a), size) / (1 - share + np.float32(1e-5))
        near = cv2.blur(near * a, size) / (share + np.float32(1e-5))
        fixed = np.rint(_corrected(seen, a, near, far)).astype(np.uint8)
        keep = soft[:, x : x + _STRIP]
        cv2.copyTo(fixed[:, x - part.start :][:, : keep.shape[1]], keep, result[:, x : x + _STRIP])
    return result


def _corrected(seen: Float, a: Float, front: Float, back: Float) -> Float:
    """Move `front` so that it blends with `back` to the seen colour."""
    return np.asarray(np.clip(front + a * (seen - a * front - (1 - a) * back), 0, 255), np.float32)


def _strips(height: int, multiple: int) -> Iterator[slice]:
    """Cut `height` rows into strips of about 128 rows, each but the last a whole multiple."""
    rows = max(1, _STRIP // multiple) * multiple
    return (slice(y, min(y + rows, height)) for y in range(0, height, rows))
