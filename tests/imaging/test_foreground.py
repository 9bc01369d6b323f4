"""Foreground estimation: the subject's colours at edges that are mixed with the background."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.compositing import over
from imaging.foreground import estimate_foreground, gather, spread
from imaging.picture import Picture
from tests.helpers.shapes import soft_disc


def test_a_mixed_edge_gets_the_colour_of_the_subject() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    green = np.full_like(red, (10, 180, 60))
    found = estimate_foreground(over(red, alpha, green), alpha)
    error = np.abs(found[(alpha > 0) & (alpha < 255)].astype(int) - (200, 30, 40))
    assert error.mean() <= 8  # the mixed pixels have an error of 75 on average
    assert error.max() <= 25


def test_clear_pixels_get_a_colour_of_the_subject() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    found = estimate_foreground(over(red, alpha, np.zeros_like(red)), alpha)
    assert np.abs(found[alpha == 0].astype(int) - (200, 30, 40)).max() <= 8


def test_opaque_pixels_do_not_change() -> None:
    rng = np.random.default_rng(1)
    alpha = soft_disc()
    rgb = rng.integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    before = rgb.copy()
    found = estimate_foreground(rgb, alpha)
    assert np.array_equal(found[alpha == 255], rgb[alpha == 255])
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3), (513, 5), (129, 1025)])
@pytest.mark.parametrize("kind", ["random", "clear", "opaque", "half"])
def test_any_size_and_alpha_is_accepted(shape: tuple[int, int], kind: str) -> None:
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


def test_scaled_cut_out_shows_no_fringe() -> None:
    alpha = soft_disc()
    red = np.full((*alpha.shape, 3), (200, 30, 40), np.uint8)
    found = estimate_foreground(over(red, alpha, np.zeros_like(red)), alpha)
    small = cv2.resize(found, (100, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - (200, 30, 40)).max() <= 25


@pytest.mark.parametrize("size", [(500, 400), (2100, 1500)])
@pytest.mark.parametrize("softness", [3, 40])
def test_the_colours_of_a_photograph_are_recovered(
    photo: Callable[[str], Picture], size: tuple[int, int], softness: float
) -> None:
    front, back = (
        np.asarray(cv2.resize(photo(name).rgb, size), np.uint8) for name in ("chelsea", "coffee")
    )
    alpha = cv2.resize(soft_disc(softness=softness), size)
    mixed = over(front, alpha, back)
    partial = (alpha > 0) & (alpha < 255)
    seen = alpha[partial, None] / 255
    before = (seen * np.abs(mixed.astype(int) - front)[partial]).mean()
    after = (seen * np.abs(estimate_foreground(mixed, alpha).astype(int) - front)[partial]).mean()
    assert after < 0.75 * before


def test_distant_colours_count_only_if_none_is_near() -> None:
    gathered = np.zeros((60, 60, 4), np.float32)
    gathered[:, :10] = (200, 0, 0, 1)
    gathered[:, 50:] = (0, 0, 200, 1)
    found = spread(gathered)
    assert np.abs(found[:, :11].astype(int) - (200, 0, 0)).max() <= 4
    assert np.abs(found[:, 49:].astype(int) - (0, 0, 200)).max() <= 4
    assert (found.astype(int).sum(-1) > 150).all()


def test_little_weight_adds_no_new_colours() -> None:
    colour = np.array((180, 140, 120), np.uint8)
    rgb = np.full((1500, 1200, 3), colour)
    alpha = np.zeros((1500, 1200), np.uint8)
    alpha[:, 200:1000] = np.linspace(0, 230, 800).astype(np.uint8)
    alpha[700:720, 980:1000] = 255
    found = estimate_foreground(rgb, alpha)
    assert np.abs(found.astype(int) - colour).max() <= 4


def test_only_pure_pixels_are_collected() -> None:
    alpha = np.zeros((300, 300), np.uint8)
    alpha[:, 100:] = 128
    alpha[:, 200:] = 255
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[:, :200] = 90
    rgb[:, 200:] = (10, 20, 30)
    gathered = gather(rgb, alpha, (2, 2))
    assert gathered.shape == (150, 150, 4)
    assert (gathered[:, 100:] == (10, 20, 30, 1)).all()
    assert gathered[:, :100, 3].max() < 0.01
