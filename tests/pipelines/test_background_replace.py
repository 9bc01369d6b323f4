from collections.abc import Callable

import numpy as np
import pytest

from imaging.compositing import over
from imaging.picture import Picture
from models.runtime.pool import Pool
from pipelines.background_replace import background_colour
from tests.helpers.fake_models import EllipseMatting, FakeModels

TEAL = (0, 128, 128)


@pytest.fixture
def picture() -> Picture:
    rgb = np.full((240, 400, 3), (90, 60, 30), np.uint8)
    rgb[EllipseMatting().matte(rgb) > 0] = (220, 210, 200)
    return Picture(rgb)


def test_the_background_gets_the_colour_and_the_subject_stays(picture: Picture) -> None:
    result = background_colour(picture, FakeModels(), TEAL, original_quality=True)
    subject = EllipseMatting().matte(picture.rgb) > 0
    assert result.alpha is None
    assert (result.rgb[~subject] == TEAL).all()
    assert (result.rgb[subject] == (220, 210, 200)).all()


def test_without_original_quality_it_is_a_megapixel(picture: Picture) -> None:
    result = background_colour(picture, FakeModels(), TEAL)
    assert (result.width, result.height) == (1291, 775)
    assert (result.rgb[0, 0] == TEAL).all()


def test_the_alpha_of_a_picture_marks_its_subject(picture: Picture) -> None:
    alpha = np.zeros((240, 400), np.uint8)
    alpha[:100] = 255
    alpha[100:120] = 100
    models = FakeModels()
    result = background_colour(Picture(picture.rgb, alpha), models, TEAL, original_quality=True)
    assert models.use_count == 0
    assert result.alpha is None
    assert np.array_equal(result.rgb, over(picture.rgb, alpha, np.full_like(picture.rgb, TEAL)))


@pytest.mark.parametrize("original_quality", [True, False])
def test_force_rmbg_ignores_the_alpha(picture: Picture, original_quality: bool) -> None:
    alpha = np.full((240, 400), 255, np.uint8)
    alpha[:, :200] = 0
    result = background_colour(
        Picture(picture.rgb, alpha), FakeModels(), TEAL, original_quality, force_rmbg=True
    )
    assert (result.rgb[:10] == TEAL).all()
    plain = background_colour(picture, FakeModels(), TEAL, original_quality)
    assert np.array_equal(result.rgb, plain.rgb)


def test_a_photograph_is_cut_out(photo: Callable[[str], Picture], lite: Pool) -> None:
    result = background_colour(photo("astronaut"), lite, (0, 255, 0), original_quality=True)
    green = (result.rgb == (0, 255, 0)).all(axis=2)
    assert 0.1 < green.mean() < 0.8
    assert not green[100:200, 200:250].any()
