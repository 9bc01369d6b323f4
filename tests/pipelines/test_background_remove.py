"""Background removal on the real model."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.picture import Picture
from models.runtime.pool import Pool
from pipelines.background_remove import background_remove
from pipelines.errors import NoForegroundError


def test_result_has_the_size_of_the_picture_and_the_pixels_of_the_subject(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    picture = photo("astronaut")
    result = background_remove(picture, lite)
    assert result.alpha is not None
    assert result.rgb.shape == picture.rgb.shape
    assert result.alpha.shape == picture.rgb.shape[:2]
    opaque = result.alpha == 255
    assert 0.3 < opaque.mean() < 0.8
    assert np.array_equal(result.rgb[opaque], picture.rgb[opaque])
    assert result.alpha[20:90, 310:400].max() == 0  # the wall beside the head


def test_result_is_nowhere_more_opaque_than_the_picture(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb
    own = np.full(rgb.shape[:2], 255, np.uint8)
    own[:, :256] = 100
    own[200:300] = 0
    result = background_remove(Picture(rgb, own), lite)
    assert result.alpha is not None
    assert (result.alpha <= own).all()
    assert (
        result.alpha[70:90, 215:240].min() == 100
    )  # the face, in the half that was made transparent


def test_removing_twice_changes_no_colours(lite: Pool, photo: Callable[[str], Picture]) -> None:
    once = background_remove(photo("coffee"), lite)
    twice = background_remove(once, lite)
    assert once.alpha is not None
    assert twice.alpha is not None
    same = (twice.alpha == once.alpha) & (once.alpha > 0)
    assert same.sum() > 0.95 * (once.alpha > 0).sum()
    assert np.array_equal(twice.rgb[same], once.rgb[same])


@pytest.mark.parametrize("shape", [(1, 1), (300, 400)])
@pytest.mark.parametrize("spread", [0, 60])
def test_one_colour_and_noise_have_no_subject(
    lite: Pool, shape: tuple[int, int], spread: int
) -> None:
    noise = np.random.default_rng(3).normal(128, spread, (*shape, 3)).clip(0, 255)
    with pytest.raises(NoForegroundError):
        background_remove(Picture(noise.astype(np.uint8)), lite)


def test_white_on_white_is_cut_out(lite: Pool) -> None:
    grey = np.full((600, 800), 252, np.uint8)
    cv2.rectangle(grey, (250, 200), (550, 400), 243, -1)
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1), np.uint8)
    alpha = background_remove(Picture(grey[..., None].repeat(3, 2)), lite).alpha
    assert alpha is not None
    assert alpha[210:390, 260:540].min() == 255
    assert alpha[:180].max() == alpha[:, :230].max() == 0
