"""Putting a subject on another background without a trace of the old one."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from models.base import Rgb
from pipelines.picture import Alpha8, Picture

Float = NDArray[np.float32]
Tile = tuple[slice, slice]

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
    block = min(step, height), min(step, width)
    front = _framed(spread(*gather(rgb, alpha, block)))
    back = _framed(spread(*gather(rgb, 255 - alpha, block)))
    result = np.empty_like(rgb)
    for tile in _tiles(alpha.shape, block):
        share = alpha[tile]
        if share.min() == 255:
            result[tile] = rgb[tile]
            continue
        result[tile] = _enlarge(front, tile, block)
        if share.max() > 0:
            _correct(result, tile, rgb, alpha, (front, back), block)
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
    for tile in _tiles(alpha.shape, block):
        share, painted = alpha[tile], rgb[tile]
        if not table[share.max()]:
            continue
        out = tuple(
            slice(part.start // side, -(-part.stop // side))
            for part, side in zip(tile, block, strict=True)
        )
        if table[share.min()] == 255:
            weight[out] = 255
        else:
            pure = np.asarray(cv2.LUT(share, table), np.uint8)
            thrice = cv2.merge([pure] * 3)
            painted = np.asarray(cv2.multiply(painted, thrice, scale=1 / 255), np.uint8)
            weight[out] = _block_means(pure, block)
        colour[out] = _block_means(painted, block)
    weight /= 255
    return colour, weight


def spread(colour: Float, weight: Float) -> Rgb:
    """Average what `gather` gives over ever wider surroundings, the nearest counting most."""
    mean = np.array(cv2.mean(colour)[:3]) / max(cv2.mean(weight)[0], 1e-6)
    result: Float = np.full(colour.shape, 1e-6 * mean, np.float32)
    total: Float = np.full(weight.shape, 1e-6, np.float32)
    for radius, share in _SPREAD:
        size = (2 * radius + 1, 2 * radius + 1)
        colours, weights = (cv2.blur(i, size).reshape(i.shape) for i in (colour, weight))
        result = np.asarray(cv2.scaleAdd(colours, share, result), np.float32)
        total = np.asarray(cv2.scaleAdd(weights, share, total), np.float32)
    return np.asarray(cv2.divide(result, _threefold(total), dtype=cv2.CV_8U), np.uint8)


def _block_means(pixels: NDArray[np.uint8], block: tuple[int, int]) -> NDArray[np.uint8]:
    """Average blocks of rows and columns; the last ones may be broken."""
    down, across = block
    rows, columns = -(-pixels.shape[0] // down), -(-pixels.shape[1] // across)
    broken = rows * down - pixels.shape[0], columns * across - pixels.shape[1]
    if any(broken):
        pixels = np.asarray(
            cv2.copyMakeBorder(pixels, 0, broken[0], 0, broken[1], cv2.BORDER_REPLICATE), np.uint8
        )
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _framed(small: Rgb) -> Rgb:
    """Repeat the outermost pixels, for `_enlarge`."""
    return np.asarray(cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)


def _enlarge(framed: Rgb, part: Tile, block: tuple[int, int]) -> Rgb:
    """Give a part of the full picture from a framed picture of one pixel per block."""
    rows, columns = (
        slice(side.start // size, -(-side.stop // size) + 2)
        for side, size in zip(part, block, strict=True)
    )
    (down, across), (ys, xs) = block, part
    small = framed[rows, columns]
    large = cv2.resize(
        small,
        (small.shape[1] * across, small.shape[0] * down),
        interpolation=cv2.INTER_LINEAR,
    )
    top, left = ys.start - (rows.start - 1) * down, xs.start - (columns.start - 1) * across
    return np.asarray(
        large[top : top + ys.stop - ys.start, left : left + xs.stop - xs.start], np.uint8
    )


def _correct(
    result: Rgb,
    tile: Tile,
    rgb: Rgb,
    alpha: Alpha8,
    framed: tuple[Rgb, Rgb],
    block: tuple[int, int],
) -> None:
    """Correct a tile of `result` where alpha is partial, and keep what is seen where it is 255."""
    x, y, width, height = cv2.boundingRect(cv2.inRange(alpha[tile], 1, 254))
    if width:
        top, left = tile[0].start + y, tile[1].start + x
        inner = slice(top, top + height), slice(left, left + width)
        rows, columns = (
            slice(max(0, part.start - _REACH), min(side, part.stop + _REACH))
            for part, side in zip(inner, alpha.shape, strict=True)
        )
        front, back = (_enlarge(small, (rows, columns), block) for small in framed)
        fixed = _unmix(rgb[rows, columns], alpha[rows, columns], front, back)
        top, left = top - rows.start, left - columns.start
        fixed = fixed[top : top + height, left : left + width]
        cv2.copyTo(fixed, cv2.inRange(alpha[inner], 1, 254), result[inner])
    cv2.copyTo(rgb[tile], cv2.inRange(alpha[tile], 255, 255), result[tile])


def _unmix(rgb: Rgb, alpha: Alpha8, front: Rgb, back: Rgb) -> Rgb:
    """Give `front` corrected, with `back`, to blend to the seen colours of a part of a picture."""
    share = alpha.astype(np.float32)
    share *= np.float32(1 / 255)
    a = _threefold(share)
    far = back.astype(np.float32)
    near = _corrected(rgb, a, front.astype(np.float32), far)
    size = (2 * _REACH + 1, 2 * _REACH + 1)
    around = np.asarray(cv2.blur(share, size), np.float32).reshape(share.shape)
    near *= a
    near = _threefold(np.float32(1) / (around + np.float32(1e-5))) * cv2.blur(near, size)
    far *= 1 - a
    far = _threefold(np.float32(1) / (1 - around + np.float32(1e-5))) * cv2.blur(far, size)
    return np.asarray(cv2.convertScaleAbs(_corrected(rgb, a, near, far)), np.uint8)


def _threefold(plane: Float) -> Float:
    return np.asarray(cv2.merge([plane] * 3), np.float32)


def _corrected(seen: Rgb, a: Float, front: Float, back: Float) -> Float:
    """Move `front` so that it blends with `back` to the seen colour."""
    rest = np.asarray(cv2.subtract(seen, back, dtype=cv2.CV_32F), np.float32)
    lead = front - back
    rest -= a * lead
    rest *= a
    rest += front
    return np.clip(rest, 0, 255, out=rest)


def _tiles(shape: tuple[int, ...], block: tuple[int, int]) -> Iterator[Tile]:
    """Cut a picture into tiles of about 128 x 128, each but the last of whole blocks."""
    for rows in _strips(shape[0], block[0]):
        for columns in _strips(shape[1], block[1]):
            yield rows, columns


def _strips(height: int, multiple: int) -> Iterator[slice]:
    """Cut `height` rows, or columns, into strips of about 128, each but the last a whole multiple."""
    rows = max(1, _STRIP // multiple) * multiple
    return (slice(y, min(y + rows, height)) for y in range(0, height, rows))
