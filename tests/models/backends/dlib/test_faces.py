"""Face analysis by dlib with the real models."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.picture import Picture, Rgb
from models.backends.dlib.faces import AGE_BINS, DlibFaces, age_range, pose
from models.roles import Face

FACE = (178.0, 80.0, 88.0, 88.0)
"""The box of the face in astronaut.jpg, brows to chin, measured by eye."""


@pytest.fixture(scope="module")
def model() -> DlibFaces:
    return DlibFaces()


@pytest.fixture
def astronaut(photo: Callable[[str], Picture]) -> Rgb:
    return photo("astronaut").rgb


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def resized(rgb: Rgb, scale: float) -> Rgb:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how).astype(np.uint8)


def same(a: list[Face], b: list[Face]) -> bool:
    return [(f.rect, f.score, f.age) for f in a] == [(f.rect, f.score, f.age) for f in b]


def test_the_only_face_is_found_at_its_position(model: DlibFaces, astronaut: Rgb) -> None:
    (face,) = model.analyse(astronaut)
    assert overlap(face.rect, FACE) > 0.75
    assert face.landmarks.shape == (5, 2)
    x, y, width, height = face.rect
    assert ((face.landmarks > (x, y)) & (face.landmarks < (x + width, y + height))).all()


def test_a_face_seen_from_the_front_has_little_yaw_and_roll(
    model: DlibFaces, astronaut: Rgb
) -> None:
    (face,) = model.analyse(astronaut)
    assert abs(face.yaw) < 10
    assert abs(face.roll) < 10


def test_age_and_gender_are_correct(model: DlibFaces, astronaut: Rgb) -> None:
    (face,) = model.analyse(astronaut)
    assert face.gender == "Female"
    assert face.gender_probability is not None
    assert 0.8 <= face.gender_probability <= 1
    # The photograph was taken in 1993; its subject was born in 1956.
    assert face.age is not None
    assert face.age in AGE_BINS
    assert face.age[0] <= 37 <= face.age[1]


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_no_face_is_found_where_there_is_none(
    model: DlibFaces, photo: Callable[[str], Picture], name: str
) -> None:
    assert model.analyse(photo(name).rgb) == []


@pytest.mark.parametrize("scale", [0.45, 3.0, 6.0])
def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(
    model: DlibFaces, astronaut: Rgb, scale: float
) -> None:
    (face,) = model.analyse(resized(astronaut, scale))
    expected = tuple(side * scale for side in FACE)
    assert overlap(face.rect, expected) > 0.7


def test_the_largest_face_is_first(model: DlibFaces, astronaut: Rgb) -> None:
    small = np.zeros_like(astronaut)
    small[:307, :307] = resized(astronaut, 0.6)
    found = model.analyse(np.hstack([small, astronaut]))
    assert len(found) == 2
    assert found[0].rect[2] > found[1].rect[2]
    assert found[0].rect[0] > found[1].rect[0]


def test_roll_follows_the_rotation_of_the_picture(model: DlibFaces, astronaut: Rgb) -> None:
    (upright,) = model.analyse(astronaut)
    middle = (FACE[0] + FACE[2] / 2, FACE[1] + FACE[3] / 2)
    # OpenCV's angle runs counter-clockwise.
    turn = cv2.getRotationMatrix2D(middle, -15, 1)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    faces = model.analyse(turned.astype(np.uint8))
    assert faces[0].roll - upright.roll == pytest.approx(15, abs=5)


def test_yaw_changes_sign_in_the_mirrored_picture(model: DlibFaces, astronaut: Rgb) -> None:
    (straight,) = model.analyse(astronaut)
    (mirrored,) = model.analyse(np.ascontiguousarray(astronaut[:, ::-1]))
    assert mirrored.yaw == pytest.approx(-straight.yaw, abs=6)


def test_a_face_cut_by_the_frame_has_no_age(model: DlibFaces, astronaut: Rgb) -> None:
    cut = np.ascontiguousarray(astronaut[:, 198:])
    (face,) = model.analyse(cut)
    assert face.rect[0] < 0
    assert face.age is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_the_smallest_and_thinnest_pictures_have_no_faces(
    model: DlibFaces, shape: tuple[int, int]
) -> None:
    assert model.analyse(np.full((*shape, 3), 128, np.uint8)) == []


def test_a_call_leaves_its_picture_unchanged(model: DlibFaces, astronaut: Rgb) -> None:
    given = astronaut.copy()
    model.analyse(given)
    assert np.array_equal(given, astronaut)


def test_concurrent_calls_return_the_same_as_single_ones(model: DlibFaces, astronaut: Rgb) -> None:
    pictures = [astronaut, resized(astronaut, 0.8), np.zeros_like(astronaut)] * 3
    alone = [model.analyse(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(model.analyse, pictures))
    assert all(same(a, b) for a, b in zip(alone, at_once, strict=True))


def head(yaw: float, roll: float) -> NDArray[np.float32]:
    """Return the projected eye corners and nose base of a turned head."""
    # MediaPipe's canonical face model, in centimetres: x right in the picture, y down, z forward.
    points = np.array(
        [
            (4.446, -2.664, 3.173),
            (1.856, -2.585, 3.758),
            (-4.446, -2.664, 3.173),
            (-1.856, -2.585, 3.758),
            (0, 2.089, 6.058),
        ]
    )
    a, b = np.radians(yaw), np.radians(roll)
    x = points[:, 0] * np.cos(a) + points[:, 2] * np.sin(a)
    y = points[:, 1]
    turned = np.stack([x * np.cos(b) - y * np.sin(b), x * np.sin(b) + y * np.cos(b)], axis=1)
    return (turned * 20 + 200).astype(np.float32)


@pytest.mark.parametrize("roll", [-40, 0, 25])
@pytest.mark.parametrize("yaw", [-45, -20, 0, 10, 40])
def test_the_pose_of_a_known_head_is_measured(yaw: float, roll: float) -> None:
    measured = pose(head(yaw, roll))
    assert measured.yaw == pytest.approx(yaw, abs=3)
    assert measured.roll == pytest.approx(roll, abs=3)


def test_an_age_is_returned_only_if_one_range_has_most_of_the_probability() -> None:
    sure = np.zeros(81, np.float32)
    sure[30:35] = 0.2
    assert age_range(sure) == (26, 42)
    torn = np.zeros(81, np.float32)
    torn[[10, 20, 35, 60]] = 0.25
    assert age_range(torn) is None


def test_the_last_class_includes_everyone_older() -> None:
    old = np.zeros(81, np.float32)
    old[80] = 1
    assert age_range(old) == (58, 100)


def test_the_age_ranges_leave_no_gap() -> None:
    assert AGE_BINS[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(AGE_BINS))
