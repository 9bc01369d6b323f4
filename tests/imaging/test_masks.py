"""Masks: resized to the picture, refused if their ratio differs, dilated by their type."""

import numpy as np
import pytest

from imaging.errors import MaskRatioError, NothingMarkedError
from imaging.masks import (
    automatic_radius,
    bounds,
    check_marked,
    dilate,
    dilate_square,
    fit_mask,
    grow,
    touched,
    touched_blocks,
)


def test_values_above_127_are_the_hole() -> None:
    mask = np.array([[0, 127], [128, 255]], np.uint8)
    np.testing.assert_array_equal(fit_mask(mask, 2, 2), [[False, False], [True, True]])


def test_a_smaller_mask_is_scaled_by_nearest_neighbour() -> None:
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    fitted = fit_mask(mask, 6, 6)
    expected = np.kron([[False, True], [True, False]], np.ones((3, 3))).astype(bool)
    np.testing.assert_array_equal(fitted, expected)


@pytest.mark.parametrize(
    ("mask_size", "size"),
    [((500, 334), (3000, 2003)), ((500, 333), (3000, 2003)), ((37, 500), (301, 4000))],
)
def test_a_mask_with_rounded_sides_is_accepted(
    mask_size: tuple[int, int], size: tuple[int, int]
) -> None:
    mask = np.full(mask_size[::-1], 255, np.uint8)
    fitted = fit_mask(mask, *size)
    assert fitted.shape == size[::-1]
    assert fitted.all()


@pytest.mark.parametrize("mask_size", [(500, 500), (334, 500), (500, 320), (1, 500)])
def test_a_mask_of_another_ratio_is_refused(mask_size: tuple[int, int]) -> None:
    with pytest.raises(MaskRatioError, match=r"mask is \d+x\d+ and the picture 3000x2003 pixels"):
        fit_mask(np.zeros(mask_size[::-1], np.uint8), 3000, 2003)


def test_thin_strokes_that_the_reduction_loses_are_an_error() -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[150] = 255
    check_marked(mask, 400, 300)
    check_marked(mask, 800, 600)
    with pytest.raises(NothingMarkedError, match="40x30"):
        check_marked(mask, 40, 30)
    mask[140:160] = 255
    check_marked(mask, 40, 30)


def test_a_manual_mask_is_not_dilated() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[100:150, 100:150] = True
    np.testing.assert_array_equal(grow(mask, "manual"), mask)


@pytest.mark.parametrize("size", [(300, 400), (1500, 2000)])
def test_an_automatic_mask_is_dilated_in_proportion_to_the_picture(size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.bool_)
    mask[size[0] // 2, size[1] // 2] = True
    grown = grow(mask, "automatic")
    expected = max(2, round(0.006 * (size[0] * size[1]) ** 0.5))
    assert grown.any(axis=0).sum() == 2 * expected + 1
    assert automatic_radius(*size) == expected


def test_dilation_by_a_disc_stops_at_the_border() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[0, 20] = True
    grown = dilate(mask, 10)
    y, x = np.mgrid[:40, :40]
    away = np.hypot(y, x - 20)
    assert grown[away <= 9.5].all()
    assert not grown[away > 10.6].any()


def test_an_empty_mask_stays_empty() -> None:
    assert not grow(np.zeros((30, 30), np.bool_), "automatic").any()


def test_dilation_by_a_square_reaches_every_corner() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 1] = True
    expected = np.zeros_like(mask)
    expected[2:7, 0:4] = True
    np.testing.assert_array_equal(dilate_square(mask, 2), expected)


def test_the_bounds_contain_the_whole_mask() -> None:
    mask = np.zeros((30, 40), np.bool_)
    assert bounds(mask) is None
    mask[3, 20] = mask[29, 5] = True
    assert bounds(mask) == (slice(3, 30), slice(5, 21))


@pytest.mark.parametrize("size", [(7, 5), (400, 300), (20, 1), (1000, 900)])
def test_no_pixel_of_a_mask_is_lost_by_resizing(size: tuple[int, int]) -> None:
    for y, x in ((0, 0), (123, 251), (299, 399)):
        mask = np.zeros((300, 400), np.bool_)
        mask[y, x] = True
        found = touched(mask, size)
        assert found.shape == size[::-1]
        assert found[int((y + 0.5) / 300 * size[1]), int((x + 0.5) / 400 * size[0])]
        assert found.mean() <= 0.3
    assert not touched(np.zeros((300, 400), np.bool_), size).any()


@pytest.mark.parametrize("side", [1, 3, 7, 50])
def test_a_block_is_marked_if_any_of_its_pixels_is(side: int) -> None:
    mask = np.random.default_rng(1).random((31, 45)) < 0.01
    found = touched_blocks(mask, side)
    assert found.shape == (-(-31 // side), -(-45 // side))
    for row, column in np.ndindex(found.shape):
        block = mask[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert found[row, column] == block.any()
