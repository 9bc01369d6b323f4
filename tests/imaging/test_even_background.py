"""matte_on_even_background: pale things on pale ground are found; noise, photographs and one colour are not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.even_background import matte_on_even_background
from imaging.picture import Alpha, Picture, Rgb


@pytest.mark.parametrize("level", [226, 238, 246])
@pytest.mark.parametrize("size", [(300, 400), (1200, 900)])
def test_pale_disc_on_white_is_opaque_with_its_hole_of_the_same_white(
    level: int, size: tuple[int, int]
) -> None:
    rgb, alpha = _disc(size, level, ground=255)
    found = matte_on_even_background(rgb)
    assert found is not None
    assert np.abs(found / 255 - alpha).mean() < 0.01
    assert found[size[0] // 2, size[1] // 2] == 255  # white again: a highlight
    assert found[:10].max() == 0


def test_light_that_falls_off_towards_the_corners_is_background() -> None:
    rgb, alpha = _disc((400, 500), 180, ground=215)
    y, x = np.mgrid[-1:1:400j, -1:1:500j]
    shaded = rgb * (1 - 0.12 * (x**2 + y**2) + 0.05 * x)[..., None]
    noise = np.random.default_rng(1).normal(0, 1.5, rgb.shape)
    found = matte_on_even_background(np.clip(shaded + noise, 0, 255).astype(np.uint8))
    assert found is not None
    assert np.abs(found / 255 - alpha).mean() < 0.02
    assert found[:20].max() < 30


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (2, 3), (64, 64), (500, 333)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_has_no_subject(shape: tuple[int, int], level: int) -> None:
    assert matte_on_even_background(np.full((*shape, 3), level, np.uint8)) is None


def test_noise_has_no_subject() -> None:
    rng = np.random.default_rng(2)
    for spread in (2, 10, 80):
        noise = rng.normal(128, spread, (400, 500, 3)).clip(0, 255).astype(np.uint8)
        assert matte_on_even_background(noise) is None


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_the_border_of_a_photograph_is_not_even(photo: Callable[[str], Picture], name: str) -> None:
    assert matte_on_even_background(photo(name).rgb) is None


def test_dust_is_no_subject() -> None:
    rgb = np.full((400, 500, 3), 250, np.uint8)
    rgb[100:104, 200:204] = 90
    assert matte_on_even_background(rgb) is None


def _disc(size: tuple[int, int], level: int, ground: int) -> tuple[Rgb, Alpha]:
    """Return a grey disc whose middle has the ground's colour, and the disc's alpha."""
    middle = size[1] // 2, size[0] // 2
    alpha = np.zeros(size, np.float32)
    cv2.circle(alpha, middle, min(size) // 3, 1.0, -1)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.8), np.float32)
    grey = level * alpha + ground * (1 - alpha)
    cv2.circle(grey, middle, min(size) // 12, float(ground), -1)
    return np.rint(grey)[..., None].repeat(3, 2).astype(np.uint8), alpha
