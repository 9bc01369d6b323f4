"""Compose: colours free of the old background, exact blending."""

import cv2
import numpy as np
import pytest

from pipelines.compose import cut_out, estimate_foreground, over, visible_share
from pipelines.picture import Alpha8, Picture


def soft_disc(height: int = 300, width: int = 400, softness: float = 20) -> Alpha8:
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    return np.rint(255 * np.clip((90 - distance) / softness + 0.5, 0, 1)).astype(np.uint8)


def test_mixed_edge_gets_the_subjects_own_colour_back() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    green = np.full_like(red, (10, 180, 60))
    found = estimate_foreground(over(red, alpha, green), alpha)
    error = np.abs(found[(alpha > 0) & (alpha < 255)].astype(int) - (200, 30, 40))
    assert error.mean() <= 8  # the mixed pixels themselves are off by 75 on average
    assert error.max() <= 25


def test_clear_pixels_get_a_colour_of_the_subject() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    found = estimate_foreground(over(red, alpha, np.zeros_like(red)), alpha)
    assert np.abs(found[alpha == 0].astype(int) - (200, 30, 40)).max() <= 8


def test_opaque_pixels_keep_their_colour_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    alpha = soft_disc()
    rgb = rng.integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    before = rgb.copy()
    found = estimate_foreground(rgb, alpha)
    assert np.array_equal(found[alpha == 255], rgb[alpha == 255])
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3), (513, 5), (129, 1025)])
@pytest.mark.parametrize("kind", ["random", "clear", "opaque", "half"])
def test_any_size_and_alpha_is_taken(shape: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    flat = {"clear": 0, "opaque": 255, "half": 128}
    alpha = (
        rng.integers(0, 256, shape, dtype=np.uint8)
        if kind == "random"
        else np.full(shape, flat[kind], np.uint8)
    )
    found = estimate_foreground(rgb, alpha)
    assert found.shape == rgb.shape
    assert np.array_equal(found[alpha == 255], rgb[alpha == 255])


def test_blending_is_rounded_to_nearest_for_every_alpha_and_value() -> None:
    alpha = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1)
    front = np.dstack([alpha.T] * 3)
    for value in (0, 1, 127, 254, 255):
        back = np.full_like(front, value)
        a = alpha[..., None].astype(int)
        exact = (2 * (a * front + (255 - a) * back) + 255) // 510
        assert np.array_equal(over(front, alpha, back), exact)


def test_share_of_a_subject_in_what_is_visible() -> None:
    alpha = np.array([[0, 64, 128, 128, 0]], np.uint8)
    own = np.array([[255, 128, 128, 255, 0]], np.uint8)
    assert visible_share(alpha, own).tolist() == [[0, 128, 255, 128, 0]]
    assert visible_share(alpha, None) is alpha


def test_cut_out_by_the_pictures_own_alpha_keeps_its_visible_colours() -> None:
    alpha = soft_disc()
    rgb = np.random.default_rng(3).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    result = cut_out(Picture(rgb, alpha), alpha)
    assert np.array_equal(result.rgb[alpha > 0], rgb[alpha > 0])


def test_scaled_cut_out_shows_no_fringe() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    found = estimate_foreground(over(red, alpha, np.zeros_like(red)), alpha)
    small = cv2.resize(found, (100, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - (200, 30, 40)).max() <= 25
