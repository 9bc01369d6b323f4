"""Geodesic distances in a picture: the cheapest way from a source, where crossing an edge costs more.

The costs follow A. Criminisi, T. Sharp and A. Blake, "GeoS: Geodesic Image Segmentation", ECCV 2008; so
do the sweeps over the picture (P. Toivanen, "New geodesic distance transforms for gray-scale images",
1996).
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

Float = NDArray[np.float32]

_ROUNDS = 3
"""Sweeps down and up. Ways with more turns than that are found only in part."""
_DIAGONAL = float(np.sqrt(2))


class _Steps(NamedTuple):
    """The cost of a step: to the right, down, down to the right and down to the left; H x W each.

    The last column or row, from which there is no such step, is 0.
    """

    right: Float
    down: Float
    down_right: Float
    down_left: Float


def geodesic_distances(rgb: Rgb, sources: Float, edge_cost: float, barrier: Float) -> Float:
    """Return the length of the cheapest way to each pixel, from each of n sources: n x H x W.

    rgb: height x width x 3, uint8. sources: n x H x W, the length at which a way may start at a pixel;
    infinity where none may. A step to a neighbour costs its length in pixels, times 1 + `edge_cost` for
    each 100 units of difference in CIELAB, plus `barrier` (H x W, 0 or more) of the pixels that it joins.
    """
    steps = _steps(rgb, edge_cost, barrier)
    distances = np.ascontiguousarray(sources, np.float32)
    reach = np.concatenate([np.zeros((len(rgb), 1)), steps.right[:, :-1]], axis=1).cumsum(axis=1)
    along = np.asarray(reach, np.float32)
    for _ in range(_ROUNDS):
        for row, other in _downwards(len(rgb)):
            _sweep(distances, row, other, steps, along)
        for row, other in _upwards(len(rgb)):
            _sweep(distances, row, other, steps, along)
    return distances


def _downwards(height: int) -> Iterator[tuple[int, int]]:
    """Yield each row, from the top, and the row above it; the first row has none (-1)."""
    return ((row, row - 1) for row in range(height))


def _upwards(height: int) -> Iterator[tuple[int, int]]:
    """Yield each row, from the bottom, and the row below it; the last row has none (-1)."""
    return ((row, row + 1 if row + 1 < height else -1) for row in reversed(range(height)))


def _sweep(distances: Float, row: int, other: int, steps: _Steps, along: Float) -> None:
    """Shorten the distances of one row by ways through the `other` row, then along the row."""
    here = distances[:, row]
    if other >= 0:
        there, upper = distances[:, other], min(row, other)
        right, left = (steps.down_right, steps.down_left)
        np.minimum(here, there + steps.down[upper], out=here)
        if other > row:  # the same steps, taken backwards
            np.minimum(here[:, :-1], there[:, 1:] + right[upper, :-1], out=here[:, :-1])
            np.minimum(here[:, 1:], there[:, :-1] + left[upper, 1:], out=here[:, 1:])
        else:
            np.minimum(here[:, 1:], there[:, :-1] + right[upper, :-1], out=here[:, 1:])
            np.minimum(here[:, :-1], there[:, 1:] + left[upper, 1:], out=here[:, :-1])
    # A way along the row from x to y costs |along[y] - along[x]|.
    total = along[row]
    rightwards = np.minimum.accumulate(here - total, axis=1) + total
    leftwards = np.minimum.accumulate((here + total)[:, ::-1], axis=1)[:, ::-1] - total
    np.minimum(here, rightwards, out=here)
    np.minimum(here, leftwards, out=here)


def _steps(rgb: Rgb, edge_cost: float, barrier: Float) -> _Steps:
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)

    def cost(rows: int, columns: int, length: float) -> Float:
        """Return the costs of the step by 1 or 0 `rows` down, and -1 to 1 `columns` to the right."""
        height, width = barrier.shape
        start = np.s_[: height - rows, max(0, -columns) : width - max(0, columns)]
        end = np.s_[rows:, max(0, columns) : width + min(0, columns)]
        contrast = np.linalg.norm(lab[start] - lab[end], axis=2) / 100
        result = np.zeros(barrier.shape, np.float32)
        result[start] = length * (1 + edge_cost * contrast) + barrier[start] + barrier[end]
        return result

    return _Steps(cost(0, 1, 1), cost(1, 0, 1), cost(1, 1, _DIAGONAL), cost(1, -1, _DIAGONAL))
