"""Foreground estimation: the subject's own colours, without the colours of its background."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha8, Rgb
from imaging.resize import block_means

Float = NDArray[np.float32]
Gathered = NDArray[np.float32]
"""Height x width x 4, float32: RGB colours, 0..255, multiplied by their weight; then the weight, 0..1."""
Tile = tuple[slice, slice]
Block = tuple[int, int]
"""How many rows and columns of the full picture one gathered pixel represents."""

_WORK_SIDE = 512
"""Longest side, in pixels, of the reduced picture in which colours are gathered."""
_TILE = 128
"""Approximate side, in pixels of the full picture, of the tiles that are processed one by one."""
_REACH = 3
"""Radius, in pixels of the full picture, over which neighbouring estimates are blended."""
_NEAR = 2
"""Radius, in gathered pixels, of the neighbourhood with full weight."""
_FAR = ((4, 2, 1e-2), (8, 4, 1e-4))
"""Wider neighbourhoods, of about 8 and 32 gathered pixels: the factor by which the picture is
reduced, the radius in the reduced picture, and the weight. A far colour counts only where none is
near."""
_ANYWHERE = 1e-6
"""Weight of the whole picture's mean colour, for pixels with no colour in any neighbourhood."""
_PURITY = 16
"""Exponent on alpha: only pixels that are hardly mixed with the other layer give colours."""


class _Kind(Enum):
    """How much of a tile is subject: none of it, a part, or all."""

    CLEAR = 0
    MIXED = 1
    OPAQUE = 2


@dataclass(frozen=True)
class _Run:
    """Tiles of one kind, next to each other in one row."""

    kind: _Kind
    rows: slice
    columns: Sequence[slice]

    @property
    def extent(self) -> Tile:
        """The rows and columns that the tiles cover together."""
        return self.rows, slice(self.columns[0].start, self.columns[-1].stop)

    @property
    def tiles(self) -> Iterator[Tile]:
        """The tiles, from left to right."""
        return ((self.rows, columns) for columns in self.columns)


def estimate_foreground(rgb: Rgb, alpha: Alpha8) -> Rgb:
    """Return the subject's own colour at every pixel: height x width x 3, uint8, 0..255.

    Where alpha is 255, the result equals `rgb` bit for bit. Where alpha is 0, it is a colour of the
    subject nearby, so that a resized cut-out has no coloured fringe. In between, foreground and
    background colours are gathered from the purest pixels around. They are then corrected twice, so
    that they blend to the observed colour. The method follows Forte and Pitie, "Approximate fast
    foreground colour estimation", ICIP 2021.
    """
    if alpha.min() == 255:
        return rgb
    height, width = alpha.shape
    step = -(-max(height, width) // _WORK_SIDE)
    block = min(step, height), min(step, width)
    runs = list(_runs(alpha, block))
    purity = _purity(int(alpha.max()))
    front = _pad_edges(spread(_gather_runs(rgb, alpha, block, runs, purity, _Kind.OPAQUE)))
    impurity = _purity(255 - int(alpha.min()))[::-1].copy()
    back = _pad_edges(spread(_gather_runs(rgb, alpha, block, runs, impurity, _Kind.CLEAR)))
    result = np.empty_like(rgb)
    for run in runs:
        part = run.extent
        if run.kind is _Kind.OPAQUE:
            result[part] = rgb[part]
        elif run.kind is _Kind.CLEAR:
            _repeat(front, part, block, result)
        else:
            result[part] = _enlarge(front, part, block)
            for tile in run.tiles:
                _correct(result, tile, rgb, alpha, (front, back), block)
            cv2.copyTo(rgb[part], cv2.inRange(alpha[part], 255, 255), result[part])
    return result


def gather(rgb: Rgb, alpha: Alpha8, block: Block) -> Gathered:
    """Reduce a picture to one pixel per block of rows and columns, from pure pixels only.

    Weights are near 1 where alpha is 255 in the whole block, and near 0 where alpha is much less.
    If no alpha is 255, the highest one counts as pure: an uncertain matte must still give colours.
    """
    runs = list(_runs(alpha, block))
    return _gather_runs(rgb, alpha, block, runs, _purity(int(alpha.max())), _Kind.OPAQUE)


def spread(gathered: Gathered) -> Rgb:
    """Average the result of `gather` over wider and wider neighbourhoods; the nearest has most weight."""
    near = (2 * _NEAR + 1, 2 * _NEAR + 1)
    total = np.asarray(cv2.blur(gathered, near), np.float32)
    height, width = total.shape[:2]
    for factor, radius, share in _FAR:
        size = -(-width // factor), -(-height // factor)
        small = cv2.resize(gathered, size, interpolation=cv2.INTER_AREA)
        far = cv2.resize(cv2.blur(small, (2 * radius + 1, 2 * radius + 1)), (width, height))
        total = np.asarray(cv2.scaleAdd(far, share, total), np.float32)
    *mean, share = cv2.mean(gathered)
    anywhere = [_ANYWHERE * level / max(share, _ANYWHERE) for level in mean]
    total += np.array([*anywhere, _ANYWHERE], np.float32)
    colour = cv2.cvtColor(total, cv2.COLOR_RGBA2RGB)
    weight = _three_channels(np.asarray(cv2.extractChannel(total, 3), np.float32))
    return np.asarray(cv2.divide(colour, weight, dtype=cv2.CV_8U), np.uint8)


def _runs(alpha: Alpha8, block: Block) -> Iterator[_Run]:
    """Cut a picture into tiles of whole blocks, and join neighbouring tiles of one kind in a row."""
    columns = list(_strips(alpha.shape[1], block[1]))
    starts = [part.start for part in columns]
    for rows in _strips(alpha.shape[0], block[0]):
        least = np.minimum.reduceat(alpha[rows].min(axis=0), starts)
        greatest = np.maximum.reduceat(alpha[rows].max(axis=0), starts)
        kinds = 1 - (greatest == 0).astype(np.int8) + (least == 255)
        for kind, group in groupby(zip(kinds, columns, strict=True), key=lambda pair: pair[0]):
            yield _Run(_Kind(kind), rows, [part for _, part in group])


def _purity(highest: int) -> NDArray[np.uint8]:
    """Return the weight, 0..255, of each alpha value, 0..255; `highest` and above have weight 255."""
    purity = np.minimum(np.arange(256) / max(1, highest), 1)
    weights: NDArray[np.uint8] = np.rint(255 * purity**_PURITY).astype(np.uint8)
    return weights


def _gather_runs(
    rgb: Rgb,
    alpha: Alpha8,
    block: Block,
    runs: Sequence[_Run],
    weights: NDArray[np.uint8],
    pure: _Kind,
) -> Gathered:
    """Gather colours as `gather` does.

    weights: one for each alpha; pure: the kind with full weight.
    """
    down, across = block
    shape = -(-alpha.shape[0] // down), -(-alpha.shape[1] // across), 4
    result: Gathered = np.zeros(shape, np.float32)
    for run in runs:
        rows, columns = part = run.extent
        out = result[
            rows.start // down : -(-rows.stop // down),
            columns.start // across : -(-columns.stop // across),
        ]
        if run.kind is pure:
            out[..., :3] = block_means(rgb[part], block)
            out[..., 3] = 1
        elif run.kind is _Kind.MIXED:
            # In 16 bits: in 8 bits, colours of little weight would have only a few levels left.
            weight = np.asarray(cv2.LUT(alpha[part], weights), np.uint8)
            seen = np.multiply(rgb[part], cv2.merge([weight] * 3), dtype=np.uint16)
            out[..., :3] = block_means(seen, block)
            out[..., 3] = block_means(np.multiply(weight, 255, dtype=np.uint16), block)
            out *= (1 / 255, 1 / 255, 1 / 255, 1 / 65025)
    return result


def _pad_edges(small: Rgb) -> Rgb:
    """Repeat the outermost pixels once on every side, as `_enlarge` needs it."""
    return np.asarray(cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8)


def _repeat(padded: Rgb, part: Tile, block: Block, result: Rgb) -> None:
    """Fill a part of `result`, each block with its one colour.

    Blocks at the end may be incomplete.
    """
    (down, across), (ys, xs) = block, part
    rows, columns = (
        slice(side.start // size + 1, -(-side.stop // size) + 1)
        for side, size in zip(part, block, strict=True)
    )
    wide = np.repeat(padded[rows, columns], across, axis=1)[:, : xs.stop - xs.start]
    for row in range(down):
        out = result[ys.start + row : ys.stop : down, xs]
        out[:] = wide[: out.shape[0]]


def _enlarge(padded: Rgb, part: Tile, block: Block) -> Rgb:
    """Return a part of the full picture, interpolated from a padded picture of one pixel per block."""
    rows, columns = (
        slice(side.start // size, -(-side.stop // size) + 2)
        for side, size in zip(part, block, strict=True)
    )
    (down, across), (ys, xs) = block, part
    small = padded[rows, columns]
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
    result: Rgb, tile: Tile, rgb: Rgb, alpha: Alpha8, padded: tuple[Rgb, Rgb], block: Block
) -> None:
    """Correct a tile of `result` where alpha is 1..254.

    padded: foreground and background colours.
    """
    partial = cv2.inRange(alpha[tile], 1, 254)
    x, y, width, height = cv2.boundingRect(partial)
    if not width:
        return
    top, left = tile[0].start + y, tile[1].start + x
    inner = slice(top, top + height), slice(left, left + width)
    rows, columns = (
        slice(max(0, part.start - _REACH), min(side, part.stop + _REACH))
        for part, side in zip(inner, alpha.shape, strict=True)
    )
    front, back = (_enlarge(small, (rows, columns), block) for small in padded)
    fixed = _unmix(rgb[rows, columns], alpha[rows, columns], front, back)
    top, left = top - rows.start, left - columns.start
    fixed = fixed[top : top + height, left : left + width]
    cv2.copyTo(fixed, partial[y : y + height, x : x + width], result[inner])


def _unmix(rgb: Rgb, alpha: Alpha8, front: Rgb, back: Rgb) -> Rgb:
    """Return `front` corrected so that it blends with `back` to the observed colours `rgb`.

    a is the opacity, S the observed colour, B the background. The foreground F moves by a times the
    error of the blend: F + a (S - a F - (1 - a) B), which is B + (1 - a^2) (F - B) + a (S - B).
    """
    share = alpha.astype(np.float32)
    share *= np.float32(1 / 255)
    opacity = _three_channels(share)
    own_weight = _three_channels(1 - share * share)
    behind = back.astype(np.float32)
    observed = np.asarray(cv2.subtract(rgb, back, dtype=cv2.CV_32F), np.float32)
    observed *= opacity
    observed += behind
    estimate = np.asarray(cv2.subtract(front, back, dtype=cv2.CV_32F), np.float32)
    estimate *= own_weight
    estimate += observed
    np.clip(estimate, 0, 255, out=estimate)
    estimate *= opacity
    size = (2 * _REACH + 1, 2 * _REACH + 1)
    estimate = np.asarray(cv2.blur(estimate, size), np.float32)
    around = np.asarray(cv2.blur(share, size), np.float32)
    estimate *= _three_channels(np.float32(1) / (around + np.float32(1e-5)))
    estimate -= behind
    estimate *= own_weight
    return np.asarray(cv2.add(estimate, observed, dtype=cv2.CV_8U), np.uint8)


def _three_channels(plane: Float) -> Float:
    """Return a plane as three equal channels."""
    return np.asarray(cv2.merge([plane] * 3), np.float32)


def _strips(length: int, multiple: int) -> Iterator[slice]:
    """Cut rows or columns into strips of about 128.

    Each but the last is a multiple of `multiple`.
    """
    side = max(1, _TILE // multiple) * multiple
    return (slice(start, min(start + side, length)) for start in range(0, length, side))
