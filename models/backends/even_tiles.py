"""Tiles of one size that divide a picture evenly, each with a margin, for networks that run them in batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb


@dataclass(frozen=True)
class Grid:
    """Rows and columns of tiles; height and width of a tile without its margins, in pixels."""

    rows: int
    columns: int
    height: int
    width: int
    margin: int

    @property
    def tile_pixels(self) -> int:
        """Pixels of one tile, margins included."""
        return (self.height + 2 * self.margin) * (self.width + 2 * self.margin)

    @property
    def pixels(self) -> int:
        """Pixels of all tiles, margins included: what a network computes."""
        return self.rows * self.columns * self.tile_pixels

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield top and left of each tile's inner part, row by row."""
        for row in range(self.rows):
            for column in range(self.columns):
                yield row * self.height, column * self.width


def even_grid(height: int, width: int, *, margin: int, multiple: int, pixels: int) -> Grid:
    """Return the grid over a picture that has the fewest pixels with margins, then the fewest tiles.

    margin: pixels on each side of a tile. multiple: sides of tiles without margins are multiples of it.
    pixels: largest number in one tile, margins included. Raises ValueError if not even the smallest tile has
    so few.
    """
    grids = []
    for rows in range(1, -(-height // multiple) + 1):
        high = _up(-(-height // rows), multiple)
        widest = (pixels // (high + 2 * margin) - 2 * margin) // multiple * multiple
        if widest < multiple or -(-height // high) < rows:
            continue
        columns = -(-width // widest)
        grids.append(Grid(rows, columns, high, _up(-(-width // columns), multiple), margin))
    if not grids:
        raise ValueError(f"no tile with a margin of {margin} has at most {pixels} pixels")
    return min(grids, key=lambda grid: (grid.pixels, grid.rows * grid.columns))


def cut(rgb: Rgb, grid: Grid) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles of a grid with their margins, as views. The picture is mirrored beyond its edges."""
    height, width = rgb.shape[:2]
    margin = grid.margin
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(rgb),
        margin,
        margin + grid.rows * grid.height - height,
        margin,
        margin + grid.columns * grid.width - width,
        cv2.BORDER_REFLECT_101,
    )
    for top, left in grid.corners():
        yield np.asarray(
            framed[top : top + grid.height + 2 * margin, left : left + grid.width + 2 * margin],
            np.uint8,
        )


def _up(length: int, multiple: int) -> int:
    """Return the next multiple that is not smaller."""
    return -(-length // multiple) * multiple
