"""Felzenszwalb and Huttenlocher's graph segmentation: pixels of like colour grouped into parts.

P. Felzenszwalb and D. Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004. The result
is the one of scikit-image's `felzenszwalb`, part numbers included.
"""

from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

_Indices = NDArray[np.int32]
_Costs = NDArray[np.float64]

_ROUNDS = 5
"""Vectorised rounds before the loop. Each costs about as much and leaves less to join than the one before."""


def graph_segments(rgb: Rgb, scale: float, sigma: float, smallest: int) -> _Indices:
    """Return the part of each pixel: height x width, from 0, by the first pixel in reading order.

    scale: the paper's k, for colours 0..255; larger gives fewer, larger parts. sigma: pixels of the
    smoothing beforehand. smallest: pixels of a part; smaller ones are joined to a neighbour.
    """
    height, width = rgb.shape[:2]
    edges = _grid(rgb, sigma)
    labels = _join_small(edges, _join_alike(edges, height * width, scale / 255), smallest)
    return labels.reshape(height, width)


class _Edges(NamedTuple):
    """Pairs of pixels or parts, the cheapest first. An earlier one counts as cheaper than an equal one."""

    a: _Indices
    b: _Indices
    costs: _Costs

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        return type(self)(self.a[which], self.b[which], self.costs[which])

    def between(self, labels: _Indices) -> Self:
        """Return the edges between the parts that `labels` gives for the ends."""
        edges = type(self)(labels[self.a], labels[self.b], self.costs)
        return edges.select(edges.a != edges.b)


class _Parts(NamedTuple):
    sizes: NDArray[np.int64]
    limits: _Costs
    """What an edge must cost less than to join a part: its costliest edge inside + scale / its size."""


def _grid(rgb: Rgb, sigma: float) -> _Edges:
    """Return the edges between each pixel and its eight neighbours; costs: distances in RGB of 0..1."""
    side = 2 * int(4 * sigma + 0.5) + 1
    smooth = cv2.GaussianBlur(
        rgb.astype(np.float64) / 255, (side, side), sigma, borderType=cv2.BORDER_REFLECT
    ).reshape(rgb.shape)
    pixels = np.arange(rgb.shape[0] * rgb.shape[1], dtype=np.int32).reshape(rgb.shape[:2])
    neighbours = (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[1:, 1:], np.s_[:-1, :-1]),
        (np.s_[1:, :-1], np.s_[:-1, 1:]),
    )
    costs = []
    for one, other in neighbours:
        difference = smooth[one] - smooth[other]
        costs.append(np.sqrt(np.einsum("yxc,yxc->yx", difference, difference)).ravel())
    a, b = (np.concatenate([pixels[pair[i]].ravel() for pair in neighbours]) for i in (0, 1))
    edges = _Edges(a, b, np.concatenate(costs))
    return edges.select(np.argsort(edges.costs, kind="stable"))


def _join_alike(edges: _Edges, count: int, scale: float) -> _Indices:
    """Return the part of each of `count` pixels: an edge joins two parts that it costs little beside."""
    labels = np.arange(count, dtype=np.int32)
    parts = _Parts(np.ones(count, np.int64), np.full(count, scale))
    for _ in range(_ROUNDS):
        joined, parts = _join_pairs(edges, parts, scale)
        labels, edges = joined[labels], edges.between(joined)
    # Of the edges between two parts, the cheapest joins them or none does.
    pairs = np.minimum(edges.a, edges.b) * np.int64(len(parts.sizes)) + np.maximum(edges.a, edges.b)
    edges = edges.select(np.sort(np.unique(pairs, return_index=True)[1]))

    parents, sizes = list(range(len(parts.sizes))), parts.sizes.tolist()
    limits = parts.limits.tolist()
    for a, b, cost in zip(edges.a.tolist(), edges.b.tolist(), edges.costs.tolist(), strict=True):
        # `_root` written out: its calls would take a third of the time here.
        while (parent := parents[a]) != a:
            parents[a] = a = parents[parent]
        while (parent := parents[b]) != b:
            parents[b] = b = parents[parent]
        if a != b and cost < limits[a] and cost < limits[b]:
            low, high = (a, b) if a < b else (b, a)
            parents[high] = low
            sizes[low] += sizes[high]
            limits[low] = cost + scale / sizes[low]
    return _numbered(parents)[labels]


def _join_pairs(edges: _Edges, parts: _Parts, scale: float) -> tuple[_Indices, _Parts]:
    """Join at once all pairs of parts of which each is the other's cheapest; return the new part of each.

    No other edge of either comes before theirs, so that the result is the one of joining in turn.
    """
    order = np.arange(len(edges.a), dtype=np.int32)
    cheapest = np.full(len(parts.sizes), len(order), np.int32)
    for ends in (edges.a, edges.b):
        first = np.full(len(cheapest), len(order), np.int32)
        first[ends[::-1]] = order[::-1]  # of equal ends, the last assignment stays
        np.minimum(cheapest, first, out=cheapest)
    pairs = edges.select((cheapest[edges.a] == order) & (cheapest[edges.b] == order))
    pairs = pairs.select(pairs.costs < np.minimum(parts.limits[pairs.a], parts.limits[pairs.b]))
    low, high = np.minimum(pairs.a, pairs.b), np.maximum(pairs.a, pairs.b)
    parents = np.arange(len(parts.sizes), dtype=np.int32)
    parents[high] = low
    parts.sizes[low] += parts.sizes[high]
    parts.limits[low] = pairs.costs + scale / parts.sizes[low]
    kept = parents == np.arange(len(parents))
    return _numbered(parents), _Parts(parts.sizes[kept], parts.limits[kept])


def _join_small(edges: _Edges, labels: _Indices, smallest: int) -> _Indices:
    """Join each part of less than `smallest` pixels along its cheapest edge; return each pixel's part."""
    areas = np.bincount(labels)
    edges = edges.between(labels)
    edges = edges.select((areas[edges.a] < smallest) | (areas[edges.b] < smallest))
    parents, sizes = list(range(len(areas))), areas.tolist()
    for a, b in zip(edges.a.tolist(), edges.b.tolist(), strict=True):
        low, high = sorted((_root(parents, a), _root(parents, b)))
        if low != high and (sizes[low] < smallest or sizes[high] < smallest):
            parents[high] = low
            sizes[low] += sizes[high]
    return _numbered(parents)[labels]


def _root(parents: list[int], part: int) -> int:
    """Return the part that `part` was joined to; shorten the way to it."""
    while (parent := parents[part]) != part:
        parents[part] = part = parents[parent]
    return part


def _numbered(parents: list[int] | _Indices) -> _Indices:
    """Return the number of each part's root among the roots, from 0."""
    roots = np.array(parents, np.int32)
    numbers = np.cumsum(roots == np.arange(len(roots)), dtype=np.int32) - np.int32(1)
    while not np.array_equal(further := roots[roots], roots):
        roots = further
    numbered: _Indices = numbers[roots]
    return numbered
