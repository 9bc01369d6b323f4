from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.picture import Labels, Picture, Rgb
from models.backends.classical.felzenszwalb import Felzenszwalb

pytestmark = pytest.mark.slow


def disc_on_halves(side: int) -> tuple[Rgb, Labels]:
    """Return a picture of a light disc on a dark and a red half, and its true labels."""
    truth = np.ones((side, side), np.uint8)
    truth[:, : int(side * 0.6)] = 2
    cv2.circle(truth, (side // 2, side // 2), side // 5, 3, -1)
    colours = np.array([[0, 0, 0], [160, 30, 30], [20, 30, 40], [230, 230, 210]], np.uint8)
    return colours[truth], truth


@pytest.mark.parametrize("side", [300, 700, 2100])
def test_parts_follow_the_edges_at_every_size(side: int) -> None:
    rgb, truth = disc_on_halves(side)
    parts = Felzenszwalb().segment(rgb)
    assert parts.max() == 3
    for part, value in ((1, 2), (2, 1), (3, 3)):
        found, mask = parts == part, truth == value
        assert (mask & found).sum() / (mask | found).sum() > 0.98


def test_parts_cover_a_photograph_and_the_largest_is_first(photo: Callable[[str], Picture]) -> None:
    rgb = photo("chelsea").rgb
    parts = Felzenszwalb().segment(rgb)
    areas = np.bincount(parts.ravel())
    assert parts.dtype == np.uint8
    assert parts.shape == rgb.shape[:2]
    assert areas[0] == 0
    assert 3 < len(areas) - 1 <= 60
    assert (areas[1:] > 0).all()
    assert (np.diff(areas[1:]) <= 0).all()


def test_there_are_at_most_sixty_parts() -> None:
    tiles = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    rgb = tiles.repeat(32, axis=0).repeat(32, axis=1)
    parts = Felzenszwalb().segment(rgb)
    assert parts.min() == 1
    assert 40 < parts.max() <= 60


def test_the_same_picture_has_the_same_parts(photo: Callable[[str], Picture]) -> None:
    rgb = photo("coffee").rgb
    before = rgb.copy()
    first = Felzenszwalb().segment(rgb)
    assert np.array_equal(first, Felzenszwalb().segment(rgb))
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (3, 1500), (1100, 2)])
def test_the_smallest_pictures_have_parts(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    parts = Felzenszwalb().segment(rgb)
    assert parts.shape == shape
    assert parts.min() == 1


def test_a_plain_picture_is_one_part() -> None:
    assert (Felzenszwalb().segment(np.full((80, 120, 3), 77, np.uint8)) == 1).all()
