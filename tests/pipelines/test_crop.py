"""Crop: a tight frame, exact padding, no frame without a subject."""

from collections.abc import Callable

import numpy as np
import pytest

from imaging.picture import Alpha, Matte, Picture, Rgb
from models.roles import MATTING, Models
from models.runtime.pool import Pool
from pipelines.crop import crop
from pipelines.errors import CropTooLargeError, NoForegroundError
from tests.helpers.fake_models import FakeModels


class KnownMatte:
    """A matting model that returns a fixed matte."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = alpha

    def matte(self, rgb: Rgb) -> Matte:
        return np.asarray(np.rint(255 * self.alpha), np.uint8)


def known(alpha: Alpha) -> Models:
    return FakeModels({MATTING: KnownMatte(alpha)})


def noise(height: int = 200, width: int = 300) -> Picture:
    rng = np.random.default_rng(4)
    return Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def block(rows: slice, columns: slice) -> Alpha:
    alpha = np.zeros((200, 300), np.float32)
    alpha[rows, columns] = 1
    return alpha


def test_frame_is_tight_and_contains_the_subject() -> None:
    picture = noise()
    result = crop(picture, known(block(slice(40, 140), slice(50, 170))))
    assert result.alpha is not None
    assert np.array_equal(result.rgb, picture.rgb[40:140, 50:170])
    assert (result.alpha == 255).all()


@pytest.mark.parametrize("padding", [1, 25])
def test_padding_is_exact_and_transparent_even_at_the_border(padding: int) -> None:
    result = crop(noise(), known(block(slice(0, 100), slice(250, 300))), padding)
    assert result.alpha is not None
    assert result.alpha.shape == (100 + 2 * padding, 50 + 2 * padding)
    assert (result.alpha[padding:-padding, padding:-padding] == 255).all()
    assert result.alpha.sum() == 255 * 100 * 50


def test_faint_noise_and_specks_do_not_widen_the_frame() -> None:
    alpha = block(slice(40, 140), slice(50, 170))
    alpha += np.where(alpha == 0, np.float32(0.04), np.float32(0))
    alpha[190, 290] = 1
    result = crop(noise(), known(alpha))
    assert result.rgb.shape == (100, 120, 3)


def test_second_part_large_enough_stays_in_the_frame() -> None:
    alpha = block(slice(40, 140), slice(50, 170)) + block(slice(180, 188), slice(280, 290))
    assert crop(noise(), known(alpha)).rgb.shape == (148, 240, 3)


def test_alpha_of_the_input_is_framed_down_to_its_faintest_visible_pixel() -> None:
    picture = noise()
    own = np.zeros((200, 300), np.uint8)
    own[20:60, 30:90] = 128
    own[60, 90] = 13
    result = crop(Picture(picture.rgb, own), known(np.ones((200, 300), np.float32)))
    assert result.alpha is not None
    assert np.array_equal(result.alpha, own[20:61, 30:91])
    assert np.array_equal(result.rgb[result.alpha > 0], picture.rgb[own > 0])


@pytest.mark.parametrize("haze", [1, 12])
def test_a_haze_of_the_input_does_not_widen_the_frame(haze: int) -> None:
    picture = noise()
    own = np.full((200, 300), haze, np.uint8)
    own[20:60, 30:90] = 128
    result = crop(Picture(picture.rgb, own), known(np.ones((200, 300), np.float32)))
    assert result.rgb.shape == (40, 60, 3)


@pytest.mark.parametrize("level", [1, 12])
def test_an_alpha_of_haze_alone_is_an_error(level: int) -> None:
    own = np.zeros((200, 300), np.uint8)
    own[20:60, 30:90] = level
    with pytest.raises(NoForegroundError):
        crop(Picture(noise().rgb, own), known(np.ones((200, 300), np.float32)))


def test_force_rmbg_frames_the_matte_of_the_colours_alone() -> None:
    picture = noise()
    own = np.full((200, 300), 255, np.uint8)
    own[:, :60] = 0
    matte = block(slice(40, 140), slice(50, 170))
    result = crop(Picture(picture.rgb, own), known(matte), force_rmbg=True)
    assert result.alpha is not None
    assert np.array_equal(result.rgb, picture.rgb[40:140, 50:170])
    assert (result.alpha == 255).all()


@pytest.mark.parametrize("own", [None, 0])
def test_empty_matte_is_an_error(own: int | None) -> None:
    picture = noise()
    if own is not None:
        picture = Picture(picture.rgb, np.full((200, 300), own, np.uint8))
    with pytest.raises(NoForegroundError):
        crop(picture, known(np.zeros((200, 300), np.float32)))


def test_padding_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="padding"):
        crop(noise(), known(np.ones((200, 300), np.float32)), -1)
    with pytest.raises(CropTooLargeError):
        crop(noise(), known(np.ones((200, 300), np.float32)), 10**9)


def test_photograph_is_framed_around_its_subject(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    result = crop(photo("coffee"), lite, 10)
    assert result.alpha is not None
    assert result.alpha.shape != (420, 620)
    assert (result.alpha[10:-10, 10:-10].max(axis=1)[[0, -1]] > 12).all()
    assert (result.alpha[10:-10, 10:-10].max(axis=0)[[0, -1]] > 12).all()
