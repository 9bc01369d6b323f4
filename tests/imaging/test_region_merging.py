"""Merging of parts: alike and small first, never parts that do not touch."""

import numpy as np
import pytest

from imaging.picture import Rgb
from imaging.region_merging import merge_parts


def columns(*parts: tuple[int, tuple[int, int, int]]) -> tuple[Rgb, np.ndarray]:
    """Return a picture of columns of a width and a colour, and the number of each."""
    widths, colours = zip(*parts, strict=True)
    numbers = np.repeat(np.arange(len(parts), dtype=np.int32), widths)
    labels = np.ascontiguousarray(np.broadcast_to(numbers, (50, len(numbers))))
    return np.array(colours, np.uint8)[labels], labels


GREY, LIGHTER, RED = (120, 120, 120), (130, 130, 130), (200, 30, 30)


def test_parts_alike_are_merged_and_others_stay() -> None:
    rgb, labels = columns((40, GREY), (40, LIGHTER), (20, RED))
    merged = merge_parts(rgb, labels, 5)
    assert merged[0].tolist() == [merged[0, 0]] * 80 + [merged[0, 99]] * 20
    assert set(np.unique(merged)) == {0, 1}


def test_parts_that_do_not_touch_are_not_merged() -> None:
    rgb, labels = columns((40, GREY), (20, RED), (40, GREY))
    assert len(np.unique(merge_parts(rgb, labels, 5))) == 3


def test_a_small_part_is_merged_sooner_than_a_large_one() -> None:
    rgb, labels = columns((2, LIGHTER), (98, GREY))
    assert merge_parts(rgb, labels, 0.5).max() == 0
    rgb, labels = columns((50, LIGHTER), (50, GREY))
    assert merge_parts(rgb, labels, 0.5).max() == 1


@pytest.mark.parametrize(("most", "count"), [(1.9, 3), (2.1, 2)])
def test_the_cost_is_the_share_times_the_squared_difference(most: float, count: int) -> None:
    # 1 % and 1 % that differ by 20 units of lightness: 0.01 * 0.01 / 0.02 * 400 = 2.
    rgb, labels = columns((1, (118, 118, 118)), (1, (171, 171, 171)), (98, RED))
    assert len(np.unique(merge_parts(rgb, labels, most))) == count


def test_a_chain_is_not_merged_across_its_whole_length() -> None:
    rgb, labels = columns(*((10, (grey, grey, grey)) for grey in range(0, 250, 25)))
    merged = merge_parts(rgb, labels, 7)
    assert 1 < len(np.unique(merged)) < 10
    assert merged[0, 0] != merged[0, -1]


def test_above_the_limit_the_cheapest_merges_follow() -> None:
    rgb, labels = columns((40, GREY), (40, LIGHTER), (20, RED))
    assert len(np.unique(merge_parts(rgb, labels, 0))) == 3
    merged = merge_parts(rgb, labels, 0, limit=2)
    assert merged[0, 0] == merged[0, 50] != merged[0, 99]
    assert not merge_parts(rgb, labels, 0, limit=1).any()


def test_one_part_stays_one() -> None:
    rgb, labels = columns((10, RED))
    assert not merge_parts(rgb, labels, 100).any()
