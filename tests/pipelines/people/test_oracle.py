"""The oracle of person/info depends on the measurements of the face."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.roles import Face
from pipelines.people.oracle import REQUIREMENTS, measure, oracle_for, sharpness

ALL = set(REQUIREMENTS)


@pytest.fixture
def portrait(photo: Callable[[str], Picture]) -> Rgb:
    """The astronaut's head with all its hair; the face is enlarged to about 260 px and sharpened."""
    crop = photo("astronaut").rgb[0:190, 130:320]
    large = cv2.resize(crop, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(large, (0, 0), 3)
    return cv2.addWeighted(large, 3, blurred, -2, 0).astype(np.uint8)


FACE = Face((147, 186, 270, 342), np.zeros((5, 2), np.float32), score=1, yaw=0, roll=0)


def high(face: Face, rgb: Rgb) -> set[str]:
    """Return the actions with only high ratings; an action with mixed ratings fails the test."""
    oracle = oracle_for(face, rgb)
    assert all(len(set(prospects.values())) == 1 for prospects in oracle.values())
    return {name for name, prospects in oracle.items() if "high" in prospects.values()}


def test_the_oracle_has_the_published_keys(portrait: Rgb) -> None:
    oracle = oracle_for(FACE, portrait)
    whole = {"age", "Beard", "gender", "glasses", "hair_line", "haircolor"}
    assert set(oracle) == whole | {"diversity", "expression"}
    assert all(set(oracle[name]) == {name} for name in whole)
    assert set(oracle["diversity"]) == set(
        [
            "africa",
            "brazil",
            "england",
            "france",
            "germany",
            "india",
            "japan",
            "korea",
            "mexico",
            "russia",
            "spain",
            "sweden",
        ]
    )
    assert set(oracle["expression"]) == set(
        ["angry", "calm", "contempt", "disgusted", "dreaming", "fear", "happy", "surprised"]
    )


def test_a_large_sharp_frontal_face_has_only_high_ratings(portrait: Rgb) -> None:
    assert high(FACE, portrait) == ALL


def test_a_small_face_has_low_ratings_where_detail_is_needed(portrait: Rgb) -> None:
    small = cv2.resize(portrait, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    face = replace(FACE, rect=(36.75, 46.5, 67.5, 85.5))
    assert high(face, small.astype(np.uint8)) == {"haircolor"}


@pytest.mark.parametrize(
    ("yaw", "lost"),
    [
        (0, set()),
        (30, {"expression", "glasses"}),
        (-30, {"expression", "glasses"}),
        (50, ALL - {"haircolor"}),
        (70, ALL),
    ],
)
def test_a_turned_face_has_lower_ratings(portrait: Rgb, yaw: float, lost: set[str]) -> None:
    assert high(replace(FACE, yaw=yaw), portrait) == ALL - lost


def test_a_tilted_face_has_low_ratings_for_expression_and_glasses(portrait: Rgb) -> None:
    assert high(replace(FACE, roll=-35), portrait) == ALL - {"expression", "glasses"}


def test_a_blurred_face_has_a_high_rating_only_for_hair_colour(portrait: Rgb) -> None:
    slightly = cv2.GaussianBlur(portrait, (0, 0), 4).astype(np.uint8)
    badly = cv2.GaussianBlur(portrait, (0, 0), 15).astype(np.uint8)
    assert high(FACE, slightly) == ALL - {"expression", "glasses"}
    assert high(FACE, badly) == {"haircolor"}


def test_hair_out_of_the_frame_cannot_be_changed(portrait: Rgb) -> None:
    cut = np.ascontiguousarray(portrait[160:])
    face = replace(FACE, rect=(147, 26, 270, 342))
    assert high(face, cut) == ALL - {"hair_line", "haircolor"}


def test_a_jaw_out_of_the_frame_cannot_get_a_beard(portrait: Rgb) -> None:
    cut = np.ascontiguousarray(portrait[: 186 + 330])
    assert high(FACE, cut) == ALL - {"Beard"}


def test_a_face_outside_the_picture_has_no_high_rating(portrait: Rgb) -> None:
    outside = replace(FACE, rect=(-400, -400, 100, 100))
    assert measure(outside, portrait).inside == 0
    assert high(outside, portrait) == set()


def test_sharpness_does_not_depend_on_brightness(portrait: Rgb) -> None:
    dark = (portrait * 0.4).astype(np.uint8)
    assert sharpness(dark) == pytest.approx(sharpness(portrait), rel=0.15)


def test_blur_lowers_the_sharpness(portrait: Rgb) -> None:
    falling = [sharpness(cv2.GaussianBlur(portrait, (0, 0), s).astype(np.uint8)) for s in (1, 4, 9)]
    assert sharpness(portrait) > falling[0] > falling[1] > falling[2]


def test_a_face_of_one_colour_is_not_sharp() -> None:
    assert sharpness(np.full((90, 90, 3), 128, np.uint8)) == 0
