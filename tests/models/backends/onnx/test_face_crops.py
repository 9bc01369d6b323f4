"""Upright crops of faces: landmarks arrive where the template has them."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.face_crops import (
    ARCFACE,
    DLIB,
    Template,
    affine_crop,
    aligned_crop,
    similarity,
)

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (0.2, 30), (7.0, -75), (3.0, 170)])
def test_a_moved_turned_and_scaled_template_is_found_again(scale: float, degrees: float) -> None:
    points = ARCFACE.points
    turn = cv2.getRotationMatrix2D((3, 4), degrees, scale)
    landmarks = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    found = similarity(landmarks, points, ARCFACE.weights)
    again = landmarks @ found[:, :2].T + found[:, 2]
    assert np.abs(again - points).max() < 0.01


def test_it_is_a_similarity_also_if_the_landmarks_do_not_fit() -> None:
    landmarks = RNG.uniform(0, 100, (5, 2)).astype(np.float32)
    (a, b, _), (c, d, _) = similarity(landmarks, ARCFACE.points, ARCFACE.weights)
    assert (a, b) == pytest.approx((d, -c))


def test_a_landmark_without_weight_does_not_decide() -> None:
    landmarks = (DLIB.points * 100).astype(np.float32)
    opened = landmarks + np.array([[0, 0]] * 3 + [[0, 30]] * 2, np.float32)
    plain = similarity(landmarks, DLIB.points, DLIB.weights)
    assert similarity(opened, DLIB.points, DLIB.weights) == pytest.approx(plain)


def test_landmarks_in_one_point_give_a_crop() -> None:
    rgb = RNG.integers(0, 256, (50, 60, 3), dtype=np.uint8)
    crop = aligned_crop(rgb, np.full((5, 2), 20, np.float32), DLIB, 64, 0.2)
    assert crop.shape == (64, 64, 3)


@pytest.mark.parametrize("far", [-1e6, 1e6])
def test_a_face_outside_the_picture_is_black(far: float) -> None:
    rgb = np.full((50, 60, 3), 255, np.uint8)
    landmarks = (DLIB.points * 40 + far).astype(np.float32)
    assert aligned_crop(rgb, landmarks, DLIB, 32, 0.2).max() == 0


def spots(points: NDArray[np.float32], size: tuple[int, int]) -> Rgb:
    """Return a black picture with a white dot at each point."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in points:
        cv2.circle(rgb, (round(x * 16), round(y * 16)), 3 * 16, (255,) * 3, -1, cv2.LINE_AA, 4)
    return rgb


@pytest.mark.parametrize("scale", [0.8, 3.0, 12.0])
@pytest.mark.parametrize("template", [DLIB, ARCFACE], ids=["dlib", "arcface"])
def test_landmarks_arrive_where_the_template_has_them(template: Template, scale: float) -> None:
    shown = template.points / template.side * 100
    landmarks = (shown * scale + (37, 21)).astype(np.float32)
    rgb = spots(landmarks, (1600, 1500))
    rgb = cv2.dilate(rgb, np.ones((round(2 * scale) + 1,) * 2)).astype(np.uint8)
    crop = aligned_crop(rgb, landmarks, template, 200, 0.2)
    expected = (shown / 100 + 0.2) / 1.4 * 200
    for x, y in expected:
        assert crop[round(y), round(x)].min() > 200
    assert 0 < (crop[..., 0] > 128).mean() < 0.2


def test_a_crop_equals_warp_affine_of_the_whole_picture() -> None:
    rgb = cv2.GaussianBlur(RNG.integers(0, 256, (300, 400, 3), dtype=np.uint8), (0, 0), 3)
    turn = cv2.getRotationMatrix2D((200, 150), 20, 0.9)
    whole = cv2.warpAffine(rgb, turn, (112, 112))
    assert np.abs(affine_crop(rgb, turn, 112).astype(int) - whole).max() <= 2


def test_a_large_face_is_averaged_not_sampled() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = affine_crop(stripes, np.array([[0.1, 0, 0], [0, 0.1, 0]]), 64)
    assert np.abs(crop[8:-8, 8:-8].astype(int) - 128).max() <= 2


def test_what_is_outside_the_picture_is_black() -> None:
    crop = affine_crop(
        np.full((40, 40, 3), 255, np.uint8), np.array([[1.0, 0, 20], [0, 1.0, 10]]), 64
    )
    assert crop[:10].max() == crop[:, :20].max() == crop[50:].max() == 0
    assert crop[10:50, 20:60].min() == 255
