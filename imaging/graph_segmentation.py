"""Felzenszwalb and Huttenlocher's graph segmentation: groups pixels of similar colour into parts.

P. Felzenszwalb and D. Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004. The result
is the same as that of scikit-image's `felzenszwalb`, including the numbers of the parts.
"""

from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

_Indices = NDArray[np.int32]
_Costs = NDArray[np.float64]

_ROUNDS = 5
"""Vectorised rounds before the loop. Each costs about the same, and each joins fewer parts than the last."""


def graph_segments(rgb: Rgb, scale: float, sigma: float, min_size: int) -> _Indices:
    """Return the part number of each pixel: height x width, from 0, in the order of their first pixels.

    scale: k in the paper, for colours 0..255; larger values give fewer, larger parts. sigma: of the
    Gaussian blur that is applied first, in pixels. min_size: in pixels; smaller parts are joined to a
    neighbour.
    """
    height, width = rgb.shape[:2]
    edges = _grid(rgb, sigma)
    labels = _join_small(edges, _join_similar(edges, height * width, scale / 255), min_size)
    return labels.reshape(height, width)


class _Edges(NamedTuple):
    """Pairs of pixels or parts, in the order of their costs. Of equal costs, the earlier edge counts as lower."""

    a: _Indices
    b: _Indices
    costs: _Costs

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        return type(self)(self.a[which], self.b[which], self.costs[which])

    def between(self, labels: _Indices) -> Self:
        """Return the edges between different parts. labels: the part of each end."""
        edges = type(self)(labels[self.a], labels[self.b], self.costs)
        return edges.select(edges.a != edges.b)


class _Parts(NamedTuple):
    sizes: NDArray[np.int64]
    limits: _Costs
    """An edge joins a part only if it costs less: the highest cost of an edge inside + scale / size."""


def _grid(rgb: Rgb, sigma: float) -> _Edges:
    """Return the edges between each pixel and its eight neighbours. Costs are distances in RGB, 0..1."""
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


def _join_similar(edges: _Edges, count: int, scale: float) -> _Indices:
    """Return the part of each of `count` pixels. An edge joins two parts if it is below both limits."""
    labels = np.arange(count, dtype=np.int32)
    parts = _Parts(np.ones(count, np.int64), np.full(count, scale))
    for _ in range(_ROUNDS):
        joined, parts = _join_pairs(edges, parts, scale)
        labels, edges = joined[labels], edges.between(joined)
    # Only the edge of lowest cost between two parts can join them.
    pairs = np.minimum(edges.a, edges.b) * np.int64(len(parts.sizes)) + np.maximum(edges.a, edges.b)
    edges = edges.select(np.sort(np.unique(pairs, return_index=True)[1]))

    parents, sizes = list(range(len(parts.sizes))), parts.sizes.tolist()
    limits = parts.limits.tolist()
    for a, b, cost in zip(edges.a.tolist(), edges.b.tolist(), edges.costs.tolist(), strict=True):
        # `_root`, inlined: its calls would take a third of the time here.
        while (parent := parents[a]) != a:
            parents[a] = a = parents[parent]
        while (parent := parents[b]) != b:
            parents[b] = b = parents[parent]
        if a != b and cost < limits[a] and cost < limits[b]:
            low, high = (a, b) if a < b else (b, a)
            parents[high] = low
            sizes[low] += sizes[high]
            limits[low] = cost + scale / sizes[low]
    return _root_numbers(parents)[labels]


def _join_pairs(edges: _Edges, parts: _Parts, scale: float) -> tuple[_Indices, _Parts]:
    """Join all pairs of parts that have their lowest edge in common; return the new part of each.

    Every other edge of the two parts costs more, so the order of the joins does not change the result.
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
    is_root = parents == np.arange(len(parents))
    return _root_numbers(parents), _Parts(parts.sizes[is_root], parts.limits[is_root])


def _join_small(edges: _Edges, labels: _Indices, min_size: int) -> _Indices:
    """Join each part of less than `min_size` pixels along its lowest edge; return the part of each pixel."""
    areas = np.bincount(labels)
    edges = edges.between(labels)
    edges = edges.select((areas[edges.a] < min_size) | (areas[edges.b] < min_size))
    parents, sizes = list(range(len(areas))), areas.tolist()
    for a, b in zip(edges.a.tolist(), edges.b.tolist(), strict=True):
        low, high = sorted((_root(parents, a), _root(parents, b)))
        if low != high and (sizes[low] < min_size or sizes[high] < min_size):
            parents[high] = low
            sizes[low] += sizes[high]
    return _root_numbers(parents)[labels]


def _root(parents: list[int], part: int) -> int:
    """Return the root of `part`; shorten the path to it."""
    while (parent := parents[part]) != part:
        parents[part] = part = parents[parent]
    return part


def _root_numbers(parents: list[int] | _Indices) -> _Indices:
    """Return the number of each part's root, from 0 in the order of the roots."""
    roots = np.array(parents, np.int32)
    numbers = np.cumsum(roots == np.arange(len(roots)), dtype=np.int32) - np.int32(1)
    while not np.array_equal(further := roots[roots], roots):
        roots = further
    numbered: _Indices = numbers[roots]
    return numbered
