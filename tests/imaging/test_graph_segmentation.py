"""Graph segmentation: the same parts as a simple implementation of the paper."""

from collections.abc import Callable
from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.graph_segmentation import graph_segments
from imaging.picture import Picture, Rgb

SIGMA = 0.8


def plain_segments(rgb: Rgb, scale: float, smallest: int) -> NDArray[np.int64]:
    """Segment as in the paper: edge by edge, with a list of pixels for each part."""
    smooth = cv2.GaussianBlur(
        rgb.astype(np.float64) / 255, (7, 7), SIGMA, borderType=cv2.BORDER_REFLECT
    ).reshape(rgb.shape)
    height, width = rgb.shape[:2]
    edges = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for y, x in product(range(height), range(width)):
            if y + dy < height and 0 <= x + dx < width:
                difference = smooth[y + dy, x + dx] - smooth[y, x]
                cost = float(np.sqrt((difference * difference).sum()))
                edges.append((cost, (y, x), (y + dy, x + dx)))
    edges.sort(key=lambda edge: edge[0])
    part = {place: [place] for place in product(range(height), range(width))}
    inside = {id(pixels): 0.0 for pixels in part.values()}

    def join(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
        one += other
        part.update(dict.fromkeys(other, one))

    for cost, a, b in edges:
        one, other = part[a], part[b]
        limits = [inside[id(pixels)] + scale / 255 / len(pixels) for pixels in (one, other)]
        if one is not other and cost < min(limits):
            join(one, other)
            inside[id(one)] = cost
    for _, a, b in edges:
        one, other = part[a], part[b]
        if one is not other and min(len(one), len(other)) < smallest:
            join(one, other)
    numbers: dict[int, int] = {}
    flat = [
        numbers.setdefault(id(part[place]), len(numbers))
        for place in product(range(height), range(width))
    ]
    return np.array(flat).reshape(height, width)


def noise(height: int, width: int, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("smallest", [1, 12])
@pytest.mark.parametrize("scale", [30, 300, 3000])
def test_parts_of_a_photograph_are_those_of_the_paper(
    photo: Callable[[str], Picture], scale: int, smallest: int
) -> None:
    rgb = np.ascontiguousarray(photo("coffee").rgb[60:260:3, 150:350:3])
    parts = graph_segments(rgb, scale, SIGMA, smallest)
    assert np.array_equal(parts, plain_segments(rgb, scale, smallest))
    assert parts.max() > 0


@pytest.mark.parametrize(
    "rgb",
    [
        noise(24, 31),
        cv2.GaussianBlur(noise(40, 30, 1), (0, 0), 3),
        cv2.resize(noise(4, 5, 2), (40, 32), interpolation=cv2.INTER_NEAREST),
        np.linspace(0, 255, 3 * 30 * 30).reshape(30, 30, 3).astype(np.uint8),
        np.full((9, 9, 3), 7, np.uint8),
        noise(1, 1),
        noise(1, 40),
        noise(40, 1),
    ],
    ids=["noise", "smooth", "tiles", "slope", "plain", "pixel", "row", "column"],
)
def test_parts_of_any_picture_are_those_of_the_paper(rgb: Rgb) -> None:
    for smallest in (1, 5, 10_000):
        parts = graph_segments(rgb, 300, SIGMA, smallest)
        assert parts.shape == rgb.shape[:2]
        assert np.array_equal(parts, plain_segments(rgb, 300, smallest))


def test_no_part_is_smaller_than_the_minimum(photo: Callable[[str], Picture]) -> None:
    parts = graph_segments(photo("astronaut").rgb, 100, SIGMA, 300)
    assert np.bincount(parts.ravel()).min() >= 300
