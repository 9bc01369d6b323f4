"""The choice among overlapping boxes, and the pose of a head."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backends.onnx.detected_face import distinct, largest_first, pose


def row(x: float, y: float, side: float, score: float) -> NDArray[np.float32]:
    return np.array([x, y, side, side, *range(10), score], np.float32)


def test_the_best_of_several_boxes_of_a_face_is_kept() -> None:
    rows = np.stack([row(10, 10, 50, 0.6), row(12, 11, 50, 0.9), row(200, 10, 50, 0.7)])
    assert distinct(rows)[:, 14].tolist() == pytest.approx([0.9, 0.7])


def test_a_part_of_a_face_is_no_face() -> None:
    assert len(distinct(np.stack([row(0, 0, 200, 0.9), row(80, 80, 30, 0.8)]))) == 1


def test_faces_side_by_side_are_both_kept() -> None:
    assert len(distinct(np.stack([row(0, 0, 100, 0.9), row(70, 0, 100, 0.8)]))) == 2


def test_thousands_of_boxes_leave_at_most_64() -> None:
    rows = np.stack([row(60 * (i % 100), 60 * (i // 100), 50, 0.5) for i in range(5000)])
    assert len(distinct(rows)) == 64
    assert len(distinct(rows[:0])) == 0


def test_the_largest_is_first() -> None:
    first, second = largest_first(np.stack([row(0, 0, 10, 0.9), row(50, 0, 20, 0.5)]))
    assert (first.rect, second.rect) == ((50, 0, 20, 20), (0, 0, 10, 10))
    assert first.landmarks.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def head(yaw: float, roll: float) -> NDArray[np.float32]:
    """Return the projected landmarks of a turned head."""
    # MediaPipe's canonical face model, in centimetres: x right in the picture, y down, z forward.
    points = np.array(
        [
            (-3.151, -2.6, 3.466),
            (3.151, -2.6, 3.466),
            (0, 1.13, 7.476),
            (-2.456, 4.34, 4.284),
            (2.456, 4.34, 4.284),
        ]
    )
    a, b = np.radians(yaw), np.radians(roll)
    x = points[:, 0] * np.cos(a) + points[:, 2] * np.sin(a)
    y = points[:, 1]
    turned = np.stack([x * np.cos(b) - y * np.sin(b), x * np.sin(b) + y * np.cos(b)], axis=1)
    return (turned * 20 + 200).astype(np.float32)


@pytest.mark.parametrize("roll", [-40, 0, 25, 60])
@pytest.mark.parametrize("yaw", [-45, -20, 0, 10, 40])
def test_the_pose_of_a_known_head_is_measured(yaw: float, roll: float) -> None:
    measured = pose(head(yaw, roll))
    assert measured.yaw == pytest.approx(yaw, abs=3)
    assert measured.roll == pytest.approx(roll, abs=4)


@pytest.mark.parametrize("place", [0, 7, -1e6])
def test_landmarks_in_one_point_have_a_pose(place: float) -> None:
    assert np.isfinite(pose(np.full((5, 2), place, np.float32))).all()
