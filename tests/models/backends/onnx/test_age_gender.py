"""Age and gender are told only where the crops of a face agree; what the networks are fed."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.picture import Picture
from models.backends.onnx.age_gender import (
    AGE_BINS,
    age_range,
    is_clear,
    likely_gender,
    network_input,
)
from models.backends.onnx.detected_face import DetectedFace

LANDMARKS = np.array([[203, 103], [247, 102], [224, 123], [205, 144], [243, 143]], np.float32)
FACE = DetectedFace((179, 62, 90, 114), LANDMARKS, 0.9)


def ages(*years: int) -> NDArray[np.float32]:
    """Return the answer of the age network for crops of these ages: certain of each."""
    return np.eye(81, dtype=np.float32)[list(years)]


def test_an_age_is_told_if_the_crops_agree() -> None:
    assert age_range(ages(33, 34, 35, 33, 34, 36)) == (26, 42)
    assert age_range(ages(19, 20, 21, 20, 19, 20)) == (14, 26)


@pytest.mark.parametrize(
    "years",
    [
        (33, 34, 35, 44, 43, 36),  # two crops say another range
        (27, 27, 27, 27, 27, 27),  # near the end of the range
        (27, 41, 27, 41, 27, 41),  # far apart
        (40, 41, 40, 41, 40, 41),
    ],
)
def test_no_age_is_told_if_the_networks_are_not_sure(years: tuple[int, ...]) -> None:
    assert age_range(ages(*years)) is None


def test_no_age_is_told_without_most_of_the_probability() -> None:
    torn = np.zeros((6, 81), np.float32)
    torn[:, [10, 33, 35, 60]] = 0.25
    assert age_range(torn) is None


def test_the_first_and_the_last_range_are_open() -> None:
    assert age_range(ages(0, 1, 1, 0, 1, 1)) == (0, 3)
    assert age_range(ages(80, 79, 80, 78, 80, 80)) == (58, 100), "80 includes everyone older"


def test_the_age_ranges_leave_no_gap() -> None:
    assert AGE_BINS[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(AGE_BINS))


def test_a_gender_is_told_if_the_crops_agree() -> None:
    sure = np.array([[0.01, 0.99]] * 6, np.float32)
    for answers, expected in ((sure, "Male"), (sure[:, ::-1], "Female")):
        gender, probability = likely_gender(answers)
        assert gender == expected
        assert probability == pytest.approx(0.99)
    torn = sure.copy()
    torn[:2] = (0.9, 0.1)
    assert likely_gender(torn) == (None, None)


def test_nothing_is_told_of_small_uncertain_averted_or_cut_faces() -> None:
    averted = LANDMARKS + np.array([[0, 0], [0, 0], [90, 0], [0, 0], [0, 0]], np.float32)
    rgb = np.zeros((512, 512, 3), np.uint8)
    assert is_clear(rgb, FACE)
    assert not is_clear(rgb, FACE._replace(rect=(0, 0, 20, 26)))
    assert not is_clear(rgb, FACE._replace(score=0.5))
    assert not is_clear(rgb, FACE._replace(landmarks=averted))
    assert not is_clear(rgb[:, :240], FACE), "cut by the frame"


def test_the_networks_are_fed_normalised_upright_rgb(photo: Callable[[str], Picture]) -> None:
    rgb = photo("astronaut").rgb
    tensor = network_input(rgb, FACE, 64, (0.2,))
    assert tensor.shape == (2, 3, 64, 64)
    assert tensor.dtype == np.float32
    # dlib's chip: eyes and nose at fixed places of the square, which has a margin of 0.2.
    places = np.array([[0.24, 0.208], [0.76, 0.208], [0.5, 0.54]])
    target = (0.2 + places) / 1.4 * 64
    source = np.repeat(LANDMARKS[:3], (2, 2, 1), axis=0).astype(np.float64)  # the eyes count twice
    goal = np.repeat(target, (2, 2, 1), axis=0)
    x, y = source.T
    ones, zeros = np.ones(len(x)), np.zeros(len(x))
    columns = (np.r_[x, y], np.r_[-y, x], np.r_[ones, zeros], np.r_[zeros, ones])
    equations = np.stack(columns, axis=1)
    (a, b, tx, ty), *_ = np.linalg.lstsq(equations, np.r_[goal[:, 0], goal[:, 1]], rcond=None)
    chip = cv2.warpAffine(rgb, np.array([[a, -b, tx], [b, a, ty]]), (64, 64))
    golden = (chip.astype(np.float32) - (122.782, 117.001, 104.298)) / 256
    assert np.abs(tensor[0] - golden.transpose(2, 0, 1)).max() <= 3 / 256
    assert np.array_equal(tensor[1], tensor[0][..., ::-1]), "the second is mirrored"
