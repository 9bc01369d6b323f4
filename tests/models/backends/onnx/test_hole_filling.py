"""Holes in pictures of any size, filled by a network of one size: only the hole changes, and seamlessly."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Picture, Rgb
from models.backends.onnx.hole_filling import SIDE, fill_holes
from models.deadline import Deadline, deadline_scope
from models.errors import NothingToCopyError, WorkCancelledError

Photo = Callable[[str], Picture]


def holed(shape: tuple[int, ...], *boxes: tuple[int, int, int, int]) -> Mask:
    hole = np.zeros(shape[:2], np.bool_)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def smooth(rgb: Rgb, hidden: Mask) -> Rgb:
    """Stand in for a network: fill by Telea's method, which uses the nearest known pixels."""
    assert rgb.shape == (SIDE, SIDE, 3)
    assert not rgb[hidden].any(), "no old pixel of the hole may reach the network"
    if hidden.all():
        return rgb
    return np.asarray(cv2.inpaint(rgb, hidden.view(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((1, 2), (0, 1, 0, 1)),
        ((5, 900), (1, 3, 2, 5)),
        ((121, 203), (30, 70, 50, 90)),
        ((700, 900), (100, 600, 100, 800)),
        ((1400, 1600), (100, 1300, 300, 1400)),
    ],
)
def test_only_the_hole_changes_at_any_size(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    rgb = np.random.default_rng(0).integers(1, 256, (*shape, 3), dtype=np.uint8)
    before, hole = rgb.copy(), holed(shape, box)
    rgb[hole] = 0
    out = fill_holes(rgb, hole, None, smooth)
    assert out.dtype == np.uint8
    assert np.array_equal(out[~hole], before[~hole])
    assert out[hole].mean() > 50
    assert not rgb[hole].any(), "the input stays"


def test_the_content_of_hole_and_avoided_pixels_has_no_effect(photo: Photo) -> None:
    rgb = np.asarray(cv2.resize(photo("coffee").rgb, (1500, 1000)), np.uint8)
    hole, avoid = holed(rgb.shape, (300, 700, 300, 900)), holed(rgb.shape, (200, 800, 900, 1000))
    other = rgb.copy()
    other[hole | avoid] = 255 - other[hole | avoid]
    ours, theirs = (fill_holes(picture, hole, avoid, smooth) for picture in (rgb, other))
    assert np.array_equal(ours[hole], theirs[hole])
    assert np.array_equal(theirs[avoid], other[avoid])


def test_a_crop_that_is_not_square_is_stretched_and_not_padded() -> None:
    seen: list[Mask] = []

    def look(rgb: Rgb, hidden: Mask) -> Rgb:
        seen.append(hidden)
        return smooth(rgb, hidden)

    rgb = np.full((400, 1000, 3), 90, np.uint8)
    fill_holes(rgb, holed(rgb.shape, (350, 400, 0, 1000)), None, look)
    (hidden,) = seen
    assert hidden[-60:].all(), "the margin is at the lower edge"
    assert not hidden[:-70].any()


def test_a_hole_is_seen_at_full_size_while_it_fits() -> None:
    seen: list[int] = []

    def count(rgb: Rgb, hidden: Mask) -> Rgb:
        seen.append(int(hidden.sum()))
        return smooth(rgb, hidden)

    rgb = np.full((1000, 1600, 3), 90, np.uint8)
    hole = holed(rgb.shape, (100, 400, 100, 400), (600, 620, 1400, 1450))
    fill_holes(rgb, hole, None, count)
    assert sorted(seen) == [20 * 50, 300 * 300], "one run for each hole"


def test_a_large_hole_gets_texture_of_its_surroundings() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.normal(128, 30, (1536, 1536, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    hole = holed(rgb.shape, (300, 1200, 300, 1200))
    out = fill_holes(rgb, hole, None, smooth)
    assert out[hole].std() > 0.7 * rgb[~hole].std()


def test_a_fill_that_is_too_bright_has_no_visible_rim() -> None:
    ramp = np.linspace(90, 110, 512).astype(np.uint8)
    rgb = np.broadcast_to(ramp[:, None, None], (512, 512, 3)).copy()
    hole = holed(rgb.shape, (150, 350, 150, 350))

    def brighter(picture: Rgb, hidden: Mask) -> Rgb:
        return np.where(hidden[..., None], rgb + np.uint8(8), picture)

    out = fill_holes(rgb, hole, None, brighter).astype(int)
    steps = np.abs(np.diff(out[..., 0], axis=1)).max(), np.abs(np.diff(out[..., 0], axis=0)).max()
    assert max(steps) <= 2


def test_a_hole_without_surroundings_is_an_error() -> None:
    hole = holed((20, 20), (0, 20, 0, 10))
    with pytest.raises(NothingToCopyError):
        fill_holes(np.zeros((20, 20, 3), np.uint8), hole, ~hole, smooth)


def test_a_picture_without_a_hole_is_returned() -> None:
    rgb = np.full((20, 20, 3), 7, np.uint8)
    assert np.array_equal(fill_holes(rgb, holed(rgb.shape), None, smooth), rgb)


def test_work_that_nobody_waits_for_stops() -> None:
    rgb = np.full((64, 64, 3), 90, np.uint8)
    deadline = Deadline()
    deadline.cancel()
    with deadline_scope(deadline), pytest.raises(WorkCancelledError):
        fill_holes(rgb, holed(rgb.shape, (20, 40, 20, 40)), None, smooth)
