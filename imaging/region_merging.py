"""Merging of neighbouring parts of a picture, the most alike and the smallest first, by Ward's criterion.

J. Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963: the cost of a merge is by how much
it raises the sum of the squared distances of all pixels from the mean colour of their part.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

_Indices = NDArray[np.int32]
_Doubles = NDArray[np.float64]


def merge_parts(rgb: Rgb, parts: _Indices, most: float, limit: int = 1 << 30) -> _Indices:
    """Return the parts after all merges of neighbours that cost at most `most`: numbers from 0, in no order.

    While there are more than `limit` parts, dearer merges follow, the cheapest first.

    rgb: height x width x 3, uint8. parts: height x width, from 0. most: in squared CIELAB
    units, averaged over the picture: two parts of 1 % each that differ by 20 units cost 2.
    """
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    found, numbers = np.unique(parts, return_inverse=True)
    flat, count = numbers.ravel().astype(np.int32), len(found)
    shares = np.bincount(flat, minlength=count) / flat.size
    sums = np.stack([np.bincount(flat, lab[:, i], count) for i in range(3)], axis=1) / flat.size
    costs = _costs(shares, sums, slice(None))
    costs[~_neighbours(flat.reshape(parts.shape), count)] = np.inf
    owner = np.arange(count, dtype=np.int32)
    for left in range(count, 1, -1):
        one, other = sorted(divmod(int(costs.argmin()), count))
        if np.isinf(costs[one, other]) or (costs[one, other] > most and left <= limit):
            break
        _merge(costs, shares, sums, one, other)
        owner[owner == other] = one
    merged: _Indices = np.unique(owner[flat], return_inverse=True)[1].astype(np.int32)
    return merged.reshape(parts.shape)


def _merge(costs: _Doubles, shares: _Doubles, sums: _Doubles, one: int, other: int) -> None:
    """Merge the part `other` into `one`, in place."""
    shares[one] += shares[other]
    sums[one] += sums[other]
    near = np.isfinite(costs[one]) | np.isfinite(costs[other])
    near[[one, other]] = False
    costs[other], costs[:, other] = np.inf, np.inf
    row = np.where(near, _costs(shares, sums, one), np.inf)
    costs[one], costs[:, one] = row, row


def _costs(shares: _Doubles, sums: _Doubles, rows: int | slice) -> _Doubles:
    """Return the cost of merging the parts of `rows` with each part."""
    means = sums / shares[:, None]
    mine, mean = shares[rows][..., None], means[rows][..., None, :]
    distances = ((mean - means) ** 2).sum(axis=-1)
    result: _Doubles = distances * mine * shares / (mine + shares)
    return result


def _neighbours(parts: _Indices, count: int) -> NDArray[np.bool_]:
    """Return which parts touch, not with themselves: count x count."""
    touching = np.zeros((count, count), np.bool_)
    for one, other in ((parts[:, :-1], parts[:, 1:]), (parts[:-1], parts[1:])):
        touching[one, other] = True
    touching |= touching.T
    np.fill_diagonal(touching, val=False)
    return touching
