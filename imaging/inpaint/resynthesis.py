"""Full-size texture for a hole that was filled at a reduced size.

The reduced fill has the right layout but no detail. For every block of the hole, a
nearest-neighbour field over the reduced picture finds the most similar known block. The full-size
pixels are copied from that block. Then one back-projection step corrects the colours: the result,
reduced again, equals the reduced fill.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.inpaint.nearest_neighbour_field import Field, nearest_neighbour_field
from imaging.inpaint.screened_poisson import correct_colours
from imaging.picture import Mask, Rgb
from imaging.resize import block_means

_TILE = 512
"""Side of a tile, in pixels. Full-size work is done tile by tile to bound memory."""

Tile = tuple[slice, slice]
"""Rows and columns of the picture, in pixels."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A hole and its fill at a reduced size.

    hole: True where pixels are missing, at full size. source: True where pixels may be copied from,
    at full size. small: the filled picture at 1/`scale` of the size, sides rounded up. small_hole:
    True for blocks with any pixel of the hole. small_source: True for blocks that are
    completely source.
    """

    hole: Mask
    source: Mask
    small: Rgb
    small_hole: Mask
    small_source: Mask
    scale: int


def resynthesise(rgb: Rgb, layout: Layout) -> Rgb:
    """Return `rgb` with its hole filled by full-size pixels of the source, arranged as in `layout.small`.

    Outside the hole the result equals `rgb`.
    """
    field = nearest_neighbour_field(layout.small, layout.small_source, layout.small_hole)
    small = correct_colours(layout.small, field, layout.small_source, layout.small_hole)
    out = rgb.copy()
    tiles = list(_tiles(layout))
    mixed = _different_displacements(field, layout.small_hole)
    for tile in tiles:
        _copy_tile(out, rgb, layout, field, tile)
        _mix_tile(out, rgb, layout, field, mixed, tile)
    _project_back(out, layout, small, tiles)
    _blend_edge(out, layout, tiles)
    return out


def _tiles(layout: Layout) -> Iterator[Tile]:
    """Cut the picture into tiles aligned to blocks. Yield those with a part of the hole."""
    side = max(1, _TILE // layout.scale) * layout.scale
    height, width = layout.hole.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            tile = slice(top, min(top + side, height)), slice(left, min(left + side, width))
            if layout.hole[tile].any():
                yield tile


def _copy_tile(out: Rgb, rgb: Rgb, layout: Layout, field: Field, tile: Tile) -> None:
    """Copy the tile's part of the hole from its sources."""
    rows, columns = (np.arange(axis.start, axis.stop) for axis in tile)
    blocks = field[np.ix_(rows // layout.scale, columns // layout.scale)] * layout.scale
    inside = layout.hole[tile]
    y, x = (blocks[..., 0] + rows[:, None])[inside], (blocks[..., 1] + columns)[inside]
    _pixels(out)[tile][inside] = _pixels(rgb)[y, x]


def _pixels(rgb: Rgb) -> NDArray[np.void]:
    """View a picture as height x width whole pixels: copying them is faster than copying three bytes."""
    return rgb.view(np.dtype("V3"))[..., 0]


def _mix_tile(out: Rgb, rgb: Rgb, layout: Layout, field: Field, mixed: Mask, tile: Tile) -> None:
    """Blend the copies of the four nearest blocks where neighbouring blocks have different sources."""
    height, width = layout.hole.shape
    scale = layout.scale
    squares = np.ix_(
        *((2 * np.arange(axis.start, axis.stop) + 1 + scale) // (2 * scale) for axis in tile)
    )
    y, x = (axis.astype(np.int32) for axis in np.nonzero(layout.hole[tile] & mixed[squares]))
    y, x = y + np.int32(tile[0].start), x + np.int32(tile[1].start)
    weights = np.full(len(y), 1e-6, np.float32)  # of the block's own copy, if no other is usable
    total = out[y, x] * weights[:, None]
    row, column = (y + 0.5) / scale - 0.5, (x + 0.5) / scale - 0.5
    for below, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        block_y = np.floor(row).astype(np.int32) + below
        block_x = np.floor(column).astype(np.int32) + right
        weight = (1 - np.abs(row - block_y)) * (1 - np.abs(column - block_x))
        block_y, block_x = block_y.clip(0, len(field) - 1), block_x.clip(0, field.shape[1] - 1)
        move = field[block_y, block_x] * scale
        from_y, from_x = y + move[:, 0], x + move[:, 1]
        good = layout.small_hole[block_y, block_x]
        good &= (from_y >= 0) & (from_y < height) & (from_x >= 0) & (from_x < width)
        from_y, from_x = from_y.clip(0, height - 1), from_x.clip(0, width - 1)
        good &= layout.source[from_y, from_x]
        share = (weight * good).astype(np.float32)
        total += rgb[from_y, from_x] * share[:, None]
        weights += share
    out[y, x] = np.rint(total / weights[:, None])


def _different_displacements(field: Field, hole: Mask) -> Mask:
    """Return True for each square of four blocks in the hole that do not share one displacement.

    The result is one larger than the field on both axes. Block (0, 0) is the lower right of square
    (0, 0).
    """
    squares = np.zeros((field.shape[0] + 1, field.shape[1] + 1), np.bool_)
    for axis in (0, 1):
        plane = field[..., axis].astype(np.float32)
        low = np.pad(np.where(hole, plane, np.inf), 1, constant_values=np.inf)
        high = np.pad(np.where(hole, plane, -np.inf), 1, constant_values=-np.inf)
        squares |= _of_four(np.maximum, high) > _of_four(np.minimum, low)
    return squares


def _of_four(choose: np.ufunc, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the minimum or maximum of each square of four values.

    It has one row and column less.
    """
    pairs = choose(values[:-1], values[1:])
    chosen: NDArray[np.float32] = choose(pairs[:, :-1], pairs[:, 1:])
    return chosen


def _project_back(out: Rgb, layout: Layout, small: Rgb, tiles: list[Tile]) -> None:
    """Add the difference between `small` and the reduced result, interpolated, inside the hole."""
    scale = layout.scale
    reduced = block_means(out, (scale, scale))
    missing = np.subtract(small, reduced, dtype=np.float32) * layout.small_hole[..., None]
    missing = np.pad(missing, ((1, 1), (1, 1), (0, 0)), mode="edge")
    for tile in tiles:
        top, left = (axis.start // scale for axis in tile)
        bottom, right = (-(-axis.stop // scale) + 2 for axis in tile)
        part = missing[top:bottom, left:right]
        size = ((right - left) * scale, (bottom - top) * scale)
        change = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR).astype(
            np.float32, copy=False
        )
        _add(out[tile], change[scale:, scale:], layout.hole[tile])


def _blend_edge(out: Rgb, layout: Layout, tiles: list[Tile]) -> None:
    """Fade out the step of mean colour at the hole's edge, over a few pixels inside the hole."""
    reach = min(max(layout.scale // 2, 2), 8)
    before = out.copy()
    for tile in tiles:
        top, left = (max(0, axis.start - 2 * reach) for axis in tile)
        window = slice(top, tile[0].stop + 2 * reach), slice(left, tile[1].stop + 2 * reach)
        hole, source = layout.hole[window], layout.source[window]
        if not source.any():
            continue
        colours = before[window].astype(np.float32)
        mean_in, _ = _local_mean(colours, hole, reach)
        mean_out, near = _local_mean(colours, source, reach)
        depth = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 3)
        fade = (1 - (depth - 0.5) / reach).clip(0, 1) * near
        change = (mean_out - mean_in) * fade[..., None]
        own = change[tile[0].start - top :, tile[1].start - left :]
        _add(out[tile], own.astype(np.float32, copy=False), layout.hole[tile])


def _local_mean(
    colours: NDArray[np.float32], of: Mask, reach: int
) -> tuple[NDArray[np.float32], Mask]:
    """Return, at each pixel, the mean colour of the pixels in `of` within `reach`, and whether there are any."""
    box = (2 * reach + 1, 2 * reach + 1)
    weight = of.astype(np.float32)
    share = cv2.blur(weight, box)[..., None]
    mean = cv2.blur(colours * weight[..., None], box) / np.maximum(share, 1e-6)
    return mean.astype(np.float32, copy=False), share[..., 0] > 1e-4


def _add(part: Rgb, change: NDArray[np.float32], inside: Mask) -> None:
    """Add `change` to `part` in place where `inside`. `change` may be larger at the lower right."""
    change = change[: part.shape[0], : part.shape[1]]
    changed = np.rint((part + change).clip(0, 255)).astype(np.uint8)
    np.copyto(part, changed, where=inside[..., None])
