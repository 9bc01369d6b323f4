"""A label map of overlapping masks: small ones above large ones, numbers by area, straight edges."""

from typing import Any

import numpy as np
import pytest

from imaging.label_map import by_area, label_boxes, label_map, mask_members, part_areas, select
from imaging.picture import Labels


def squares(*boxes: tuple[int, int, int, int]) -> list[Any]:
    masks = []
    for top, bottom, left, right in boxes:
        mask = np.zeros((100, 200), np.bool_)
        mask[top:bottom, left:right] = True
        masks.append(mask)
    return masks


def test_a_smaller_mask_covers_a_larger_one() -> None:
    masks = squares((40, 60, 40, 60), (20, 80, 20, 120), (0, 10, 150, 160))
    labels = label_map(masks, 200, 100)
    assert [labels[50, 50], labels[30, 30], labels[5, 155], labels[90, 190]] == [2, 1, 3, 0]


def test_numbers_are_by_visible_area_without_a_gap() -> None:
    masks = squares((0, 50, 0, 100), (0, 50, 1, 100), (60, 90, 0, 40))
    labels = label_map(masks, 200, 100)
    assert labels[10, 50] == 1
    assert labels[70, 10] == 2
    assert labels[10, 0] == 3


def test_specks_are_removed_and_at_most_255_parts_stay() -> None:
    rng = np.random.default_rng(0)
    masks = squares((0, 1, 0, 2), *((int(y), int(y) + 4, int(x), int(x) + 4)
        for y, x in zip(rng.integers(0, 96, 400), rng.integers(0, 196, 400), strict=True)))  # fmt: skip
    labels = label_map(masks, 200, 100)
    assert labels.max() <= 255
    assert len(np.unique(labels)) > 100
    assert not label_map(squares((0, 1, 0, 2)), 200, 100).any()
    assert label_map([], 30, 20).shape == (20, 30)


def test_masks_are_enlarged_with_straight_edges() -> None:
    labels = label_map(squares((25, 75, 50, 150)), 600, 300)
    truth = np.zeros((300, 600), np.uint8)
    truth[75:225, 150:450] = 1
    assert (labels != truth).mean() < 0.002


def test_numbering_again_preserves_the_parts() -> None:
    labels: Labels = np.array([[0, 7, 7], [3, 3, 3]], np.uint8)
    assert by_area(labels).tolist() == [[0, 2, 2], [1, 1, 1]]


def test_each_part_has_its_box_and_nothing_else_has() -> None:
    labels = np.zeros((5, 7), np.uint8)
    assert label_boxes(labels) == {}
    labels[1, 2], labels[3, 5], labels[4, 0], labels[4, 6] = 9, 9, 255, 3
    assert label_boxes(labels) == {3: (6, 4, 7, 5), 9: (2, 1, 6, 4), 255: (0, 4, 1, 5)}
    assert list(label_boxes(labels)) == [3, 9, 255]
    labels[:] = 1
    assert label_boxes(labels) == {1: (0, 0, 7, 5)}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ([1, 2, 3], {1: (1,), 2: (2,), 3: (3,)}),
        ([1, 2, 4, 5], {1: (1,), 2: (2,), 3: (1, 2), 4: (4,), 5: (5,)}),
        ([1, 3], {1: (1,), 3: (3,)}),
        ([2, 3], {2: (2,), 3: (3,)}),
        ([1, 2, 3, 5, 9], {1: (1,), 2: (2,), 3: (3,), 4: (1, 2, 3), 5: (5,), 9: (9,)}),
        ([1, 255], {1: (1,), 255: (255,)}),
        ([], {}),
    ],
)
def test_a_number_left_out_is_the_mask_of_all_parts_before_it(
    present: list[int], expected: dict[int, tuple[int, ...]]
) -> None:
    labels = np.array([[0, *present]], np.uint8)
    assert mask_members(labels) == expected
    assert list(mask_members(labels)) == sorted(expected)


def test_selected_parts_are_white() -> None:
    labels = np.array([[0, 1, 2, 3]], np.uint8)
    assert select(labels, (1, 3)).tolist() == [[0, 255, 0, 255]]
    assert select(labels, ()).tolist() == [[0, 0, 0, 0]]


def test_areas_count_each_part_and_only_where_asked() -> None:
    labels = np.array([[0, 1, 1], [2, 2, 2]], np.uint8)
    assert part_areas(labels)[:4].tolist() == [0, 2, 3, 0]
    assert part_areas(labels, np.array([[True, True, False]] * 2))[:4].tolist() == [0, 1, 2, 0]
