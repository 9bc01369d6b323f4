"""Face analysis of profile `lite`: CenterFace with the real weights, and the arithmetic around it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.backends.onnx.age_gender import AGE_BINS
from models.backends.onnx.centerface import decode, look_window, search_input, search_size
from models.roles import FACE_ANALYSIS, Face, FaceAnalysis
from models.runtime.pool import Pool

FACE = (179.0, 62.0, 90.0, 114.0)
"""The box of the face in astronaut.jpg, hairline to chin, measured by eye."""


@pytest.fixture(scope="module")
def model(lite: Pool) -> Iterator[FaceAnalysis]:
    with lite.use(FACE_ANALYSIS) as analysis:
        yield analysis


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


def test_the_only_face_is_found_at_its_position(model: FaceAnalysis, astronaut: Rgb) -> None:
    (face,) = model.analyse(astronaut)
    assert overlap(face.rect, FACE) > 0.8
    # Eyes, tip of the nose and corners of the mouth, measured by eye.
    expected = [(203, 103), (247, 102), (224, 123), (205, 144), (243, 143)]
    assert np.abs(face.landmarks - expected).max() < 5


def test_a_face_seen_from_the_front_has_little_yaw_and_roll(
    model: FaceAnalysis, astronaut: Rgb
) -> None:
    (face,) = model.analyse(astronaut)
    assert abs(face.yaw) < 10
    assert abs(face.roll) < 10


def test_age_and_gender_are_correct(model: FaceAnalysis, astronaut: Rgb) -> None:
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
    model: FaceAnalysis, photo: Callable[[str], Picture], name: str
) -> None:
    assert model.analyse(photo(name).rgb) == []


@pytest.mark.parametrize("scale", [0.3, 0.45, 3.0, 6.0])
def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(
    model: FaceAnalysis, astronaut: Rgb, scale: float
) -> None:
    (face,) = model.analyse(resized(astronaut, scale))
    expected = tuple(side * scale for side in FACE)
    assert overlap(face.rect, expected) > 0.75


def test_a_face_of_30_pixels_is_found_in_2_megapixels(model: FaceAnalysis, astronaut: Rgb) -> None:
    rgb = np.full((1200, 1700, 3), 100, np.uint8)
    small = resized(astronaut, 0.34)
    rgb[500 : 500 + small.shape[0], 900 : 900 + small.shape[1]] = small
    (face,) = model.analyse(rgb)
    assert overlap(face.rect, (900 + 0.34 * FACE[0], 500 + 0.34 * FACE[1], 30.6, 38.8)) > 0.6


def test_a_face_that_fills_a_large_picture_is_found(model: FaceAnalysis, astronaut: Rgb) -> None:
    filled = resized(astronaut[60:180, 175:275], 10)
    (face,) = model.analyse(filled)
    assert overlap(face.rect, (40, 20, 900, 1140)) > 0.65


def test_every_face_of_a_crowd_is_found(model: FaceAnalysis, astronaut: Rgb) -> None:
    one = resized(astronaut[30:220, 130:320], 0.5)
    crowd = np.tile(one, (5, 6, 1))
    assert len(model.analyse(crowd)) == 30


def test_there_are_at_most_64_faces(model: FaceAnalysis, astronaut: Rgb) -> None:
    crowd = np.tile(resized(astronaut[30:220, 130:320], 0.4), (9, 9, 1))
    assert len(model.analyse(crowd)) == 64


def test_a_made_cartoon_and_noise_have_no_faces(model: FaceAnalysis) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert model.analyse(rgb) == []
    smiley = np.full((480, 640, 3), 255, np.uint8)
    for x in (250, 390):
        cv2.circle(smiley, (x, 180), 30, (0, 0, 0), -1)
    assert model.analyse(smiley) == []


def test_the_largest_face_is_first(model: FaceAnalysis, astronaut: Rgb) -> None:
    small = np.zeros_like(astronaut)
    small[:307, :307] = resized(astronaut, 0.6)
    found = model.analyse(np.hstack([small, astronaut]))
    assert len(found) == 2
    assert found[0].rect[2] > found[1].rect[2]
    assert found[0].rect[0] > found[1].rect[0]


def test_roll_follows_the_rotation_of_the_picture(model: FaceAnalysis, astronaut: Rgb) -> None:
    (upright,) = model.analyse(astronaut)
    middle = (FACE[0] + FACE[2] / 2, FACE[1] + FACE[3] / 2)
    # OpenCV's angle runs counter-clockwise.
    turn = cv2.getRotationMatrix2D(middle, -15, 1)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    faces = model.analyse(turned.astype(np.uint8))
    assert faces[0].roll - upright.roll == pytest.approx(15, abs=5)


def test_yaw_changes_sign_in_the_mirrored_picture(model: FaceAnalysis, astronaut: Rgb) -> None:
    (straight,) = model.analyse(astronaut)
    (mirrored,) = model.analyse(np.ascontiguousarray(astronaut[:, ::-1]))
    assert mirrored.yaw == pytest.approx(-straight.yaw, abs=6)


def test_nothing_is_told_of_a_face_cut_by_the_frame(model: FaceAnalysis, astronaut: Rgb) -> None:
    (face,) = model.analyse(np.ascontiguousarray(astronaut[:, 205:]))
    assert face.rect[0] < 10
    assert (face.age, face.gender) == (None, None)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_the_smallest_and_thinnest_pictures_have_no_faces(
    model: FaceAnalysis, shape: tuple[int, int]
) -> None:
    assert model.analyse(np.full((*shape, 3), 128, np.uint8)) == []


def test_a_call_leaves_its_picture_unchanged(model: FaceAnalysis, astronaut: Rgb) -> None:
    given = astronaut.copy()
    model.analyse(given)
    assert np.array_equal(given, astronaut)


def test_concurrent_calls_return_the_same_as_single_ones(
    model: FaceAnalysis, astronaut: Rgb
) -> None:
    pictures = [astronaut, resized(astronaut, 0.8), np.zeros_like(astronaut)] * 3
    alone = [model.analyse(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(model.analyse, pictures))
    assert all(same(a, b) for a, b in zip(alone, at_once, strict=True))


def test_the_network_is_fed_rgb_without_normalisation(photo: Callable[[str], Picture]) -> None:
    rgb = photo("coffee").rgb[:397, :590]
    height, width = rgb.shape[:2]
    tensor = search_input(rgb, (width, height))
    assert tensor.shape == (1, 3, 416, 608)
    assert tensor.dtype == np.float32
    golden = np.zeros((1, 3, 416, 608), np.float32)
    for channel in range(3):
        golden[0, channel, :height, :width] = rgb[..., channel]
    assert np.array_equal(tensor, golden)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((800, 500), (800, 500)), ((4000, 2500), (800, 500)), ((100, 50), (200, 100))],
)
def test_a_picture_is_searched_at_400_000_pixels(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert search_size(*size) == expected


def test_a_cell_above_the_least_score_is_a_face() -> None:
    heat, scale = np.zeros((1, 6, 9), np.float32), np.zeros((2, 6, 9), np.float32)
    offset, landmarks = np.zeros((2, 6, 9), np.float32), np.zeros((10, 6, 9), np.float32)
    heat[0, 2, 5] = 0.9
    heat[0, 4, 4] = 0.1
    scale[:, 2, 5] = np.log([6, 4])  # height, width in cells
    offset[:, 2, 5] = (0.25, -0.5)  # down, right
    landmarks[:, 2, 5] = (0.25, 0.1, 0.25, 0.9, 0.5, 0.5, 0.75, 0.2, 0.75, 0.8)  # y, x
    (row,) = decode([heat, scale, offset, landmarks], 0.2)
    assert row[:4] == pytest.approx((12, -1, 16, 24), abs=1e-4)
    assert row[4:14] == pytest.approx((13.6, 5, 26.4, 5, 20, 11, 15.2, 17, 24.8, 17), abs=1e-4)
    assert row[14] == pytest.approx(0.9)


def test_a_second_look_has_the_face_in_its_middle_at_one_size() -> None:
    rgb = np.zeros((1000, 900, 3), np.uint8)
    rgb[200:520, 300:620] = 255
    row = np.array([300, 200, 320, 320, *[0] * 10, 0.5], np.float32)
    window = look_window(rgb, row, 96, 24)
    assert window[37:59, 37:59].min() == 255
    assert window[:34].max() == window[:, :34].max() == window[62:].max() == 0
