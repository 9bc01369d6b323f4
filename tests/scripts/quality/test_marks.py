"""Faces and masks are counted rightly against marked boxes."""

import json

import numpy as np
import pytest

from scripts.quality_measures import faces, masks
from scripts.quality_measures.boxes import box_iou, pairs
from scripts.quality_measures.faces import FaceCount, face_count
from scripts.quality_measures.masks import box_of, picked

ONE, OTHER = (10.0, 10.0, 100.0, 100.0), (300.0, 10.0, 50.0, 50.0)


def test_the_overlap_of_boxes() -> None:
    assert box_iou(ONE, ONE) == 1
    assert box_iou(ONE, OTHER) == 0
    assert box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)


def test_each_box_has_one_partner_the_best() -> None:
    found = [(12.0, 12.0, 100.0, 100.0), ONE, OTHER]
    assert pairs(found, [ONE, OTHER], 0.5) == {0: 1, 1: 2}
    assert pairs([ONE], [ONE, ONE], 0.5) == {0: 0}


def test_found_missed_and_invented_faces() -> None:
    assert face_count([ONE], [ONE, OTHER], []) == FaceCount(drawn=2, found=1)
    assert face_count([ONE, OTHER], [ONE], []) == FaceCount(drawn=1, found=1, invented=1)
    assert face_count([ONE, ONE], [ONE], []).invented == 1, "the same face twice"
    assert face_count([], [ONE], []) == FaceCount(drawn=1)


def test_small_faces_are_counted_apart() -> None:
    small = (200.0, 200.0, 20.0, 20.0)
    count = face_count([small], [ONE, small], [])
    assert count == FaceCount(drawn=1, small_drawn=1, small_found=1)


def test_a_face_in_an_unclear_region_is_neither_right_nor_wrong() -> None:
    assert face_count([OTHER], [], [(290, 0, 100, 100)]).invented == 0
    assert face_count([OTHER], [], [(0, 0, 100, 100)]).invented == 1


def test_a_mask_of_two_people_picks_neither() -> None:
    left, right, both = (np.zeros((100, 200), bool) for _ in range(3))
    left[10:90, 10:60] = True
    right[10:90, 120:170] = True
    both[:] = left | right
    drawn = [box_of(left), box_of(right)]
    assert picked([both], drawn, 0.5) == 0
    assert picked([both, left], drawn, 0.5) == 1
    assert picked([left, right], drawn, 0.7) == 2
    assert picked([left, left], drawn, 0.7) == 1


def test_a_far_speck_spoils_a_mask() -> None:
    mask = np.zeros((100, 200), bool)
    mask[10:90, 10:60] = True
    drawn = [box_of(mask)]
    mask[99, 199] = True
    assert picked([mask], drawn, 0.5) == 0


def test_every_mark_is_a_box_of_a_known_photograph() -> None:
    from scripts.quality_measures.sources import packages

    known = {name for package in packages() for name in package.members}
    marks = json.loads(faces.MARKS.read_text())
    things = json.loads(masks.MARKS.read_text())
    for table in (marks["faces"], marks["unclear"], things):
        assert table.keys() <= known
        for boxes in table.values():
            assert all(len(box) == 4 and min(box[2:]) > 0 for box in boxes)
    assert sum(map(len, marks["faces"].values())) >= 40
    assert len(things) >= 10
