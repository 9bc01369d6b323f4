"""Windows around holes: they cover the holes with some context and stay inside the picture."""

import numpy as np
import pytest

from imaging.picture import Mask, Rgb, Window
from imaging.windows import around_hole, around_holes, fill_by_windows, grown, with_context


def holed(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Mask:
    hole = np.zeros(shape, np.bool_)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def test_windows_cover_the_whole_hole_and_distant_parts_have_their_own() -> None:
    hole = holed((700, 900), (5, 20, 5, 20), (22, 30, 22, 40), (500, 600, 700, 800))
    found = list(around_holes(hole))
    covered = np.zeros_like(hole)
    for window in found:
        assert not covered[window].any()
        covered[window] = True
    assert len(found) == 2
    assert covered[hole].all()


def test_many_small_holes_need_few_windows() -> None:
    hole = np.zeros((2000, 2000), np.bool_)
    hole[::97, ::97] = True
    found = list(around_holes(hole))
    assert 1 <= len(found) <= 6


def test_the_crop_contains_the_hole_and_its_surroundings() -> None:
    hole = np.zeros((3000, 4000), bool)
    hole[1000:1200, 2000:2300] = True
    rows, columns = around_hole(hole)
    assert rows.start <= 900
    assert rows.stop >= 1300
    assert columns.start <= 1850
    assert columns.stop >= 2450
    assert hole[rows, columns].mean() > 0.1


def test_a_crop_stays_inside_the_picture() -> None:
    hole = np.zeros((100, 300), bool)
    hole[0, 0] = hole[99, 299] = True
    assert around_hole(hole) == (slice(0, 100), slice(0, 300))


def test_without_a_hole_the_window_is_the_whole_picture() -> None:
    empty = np.zeros((30, 40), bool)
    assert around_hole(empty) == (slice(0, 30), slice(0, 40))
    assert not list(around_holes(empty))


def test_a_window_grows_up_to_the_size_of_the_picture() -> None:
    assert grown(np.s_[5:20, 90:100], 10, (300, 105)) == (slice(0, 30), slice(80, 105))


@pytest.mark.parametrize("side", [20, 100, 260])
def test_context_is_added_until_a_third_is_visible(side: int) -> None:
    hidden = holed((600, 500), (100, 100 + side, 100, 100 + side), (0, 90, 0, 500))
    window = with_context(np.s_[100:110, 100:110], hidden, 8)
    assert np.count_nonzero(hidden[window]) * 3 <= hidden[window].size * 2
    assert window[0].start <= 92
    assert window[1].stop >= 118


def test_the_context_is_at_most_the_whole_picture() -> None:
    hidden = holed((100, 100), (1, 100, 0, 100))
    assert with_context(np.s_[40:50, 40:50], hidden, 8) == (slice(0, 100), slice(0, 100))


def test_each_window_is_filled_in_its_own_part_of_the_hole() -> None:
    rgb = np.zeros((300, 400, 3), np.uint8)
    hole = holed((300, 400), (10, 30, 10, 40), (200, 220, 300, 330))
    seen: list[Window] = []

    def fill(window: Window, own: Mask) -> Rgb:
        seen.append(window)
        assert own.shape == hole[window].shape
        assert own.any()
        assert not (own & ~hole[window]).any()
        return np.full((*own.shape, 3), len(seen), np.uint8)

    out = fill_by_windows(rgb, hole, lambda part: np.s_[0:300, 0:400], fill)
    assert len(seen) == 2
    assert not rgb.any()
    assert not out[~hole].any()
    assert sorted({int(out[15, 15, 0]), int(out[210, 310, 0])}) == [1, 2]
    assert (out[hole] > 0).all()
