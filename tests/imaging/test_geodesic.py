"""Geodesic distances against Dijkstra's algorithm, and around walls."""

import heapq

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.geodesic import geodesic_distances
from imaging.picture import Rgb

Plane = NDArray[np.float32]


def shortest(rgb: Rgb, start: tuple[int, int], edge_cost: float, barrier: Plane) -> Plane:
    """Return the exact distances, by Dijkstra's algorithm over the eight neighbours."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    found = np.full(barrier.shape, np.inf)
    found[start] = 0
    queue = [(0.0, start)]
    while queue:
        length, (y, x) = heapq.heappop(queue)
        if length > found[y, x]:
            continue
        for down, right in np.ndindex(3, 3):
            to = y + down - 1, x + right - 1
            if to == (y, x) or min(to) < 0 or to[0] >= len(found) or to[1] >= found.shape[1]:
                continue
            contrast = float(np.linalg.norm(lab[y, x] - lab[to])) / 100
            step = np.hypot(down - 1, right - 1) * (1 + edge_cost * contrast)
            total = length + step + float(barrier[y, x] + barrier[to])
            if total < found[to]:
                found[to] = total
                heapq.heappush(queue, (total, to))
    return found.astype(np.float32)


def sources(shape: tuple[int, int], *points: tuple[int, int]) -> Plane:
    planes = np.full((len(points), *shape), np.inf, np.float32)
    for plane, point in zip(planes, points, strict=True):
        plane[point] = 0
    return planes


@pytest.mark.parametrize("start", [(0, 0), (11, 16), (6, 9)])
def test_distances_are_those_of_dijkstra(start: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    rgb = cv2.GaussianBlur(random.integers(0, 256, (12, 17, 3)).astype(np.uint8), (0, 0), 2)
    barrier = (random.random((12, 17)) > 0.8).astype(np.float32) * 4
    found = geodesic_distances(rgb, sources((12, 17), start), 30, barrier)[0]
    assert np.allclose(found, shortest(rgb, start, 30, barrier), rtol=1e-4)


def test_sources_do_not_affect_one_another() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    plain = np.zeros((20, 30), np.float32)
    points = ((2, 3), (18, 25))
    both = geodesic_distances(rgb, sources((20, 30), *points), 10, plain)
    for plane, point in zip(both, points, strict=True):
        alone = geodesic_distances(rgb, sources((20, 30), point), 10, plain)
        assert np.array_equal(plane, alone[0])


def test_a_way_goes_through_the_gap_in_a_wall() -> None:
    rgb = np.full((40, 60, 3), 128, np.uint8)
    barrier = np.zeros((40, 60), np.float32)
    barrier[:36, 30] = 1000
    found = geodesic_distances(rgb, sources((40, 60), (2, 10)), 10, barrier)[0]
    assert 60 < found[2, 50] < 90  # around: 34 down, 34 up, and the diagonal steps between
    assert found[2, 29] < 20


def test_a_start_at_a_length_counts() -> None:
    rgb = np.full((5, 9, 3), 7, np.uint8)
    start = np.full((1, 5, 9), np.inf, np.float32)
    start[0, 2, 0], start[0, 2, 8] = 0, 3
    found = geodesic_distances(rgb, start, 10, np.zeros((5, 9), np.float32))[0]
    assert found[2].tolist() == [0, 1, 2, 3, 4, 5, 5, 4, 3]


def test_nothing_is_reached_without_a_source() -> None:
    nothing = np.full((1, 4, 4), np.inf, np.float32)
    rgb = np.zeros((4, 4, 3), np.uint8)
    assert np.isinf(geodesic_distances(rgb, nothing, 1, np.zeros((4, 4), np.float32))).all()
