"""Erasing the foreground: the subject is removed, the background does not change."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.picture import Matte, Picture, Rgb
from models.backends.classical.patchmatch import PatchMatch
from models.errors import NothingToCopyError
from models.roles import INPAINTING, MATTING
from models.runtime.pool import Pool
from pipelines.erase_foreground import erase_foreground
from tests.helpers.fake_models import FakeModels


class FixedMatte:
    """A matting model that returns a fixed matte."""

    def __init__(self, matte: Matte) -> None:
        self._matte = matte

    def matte(self, rgb: Rgb) -> Matte:
        return self._matte


class FixedMatteModels(FakeModels):
    """Models with a fixed matte and the real inpainting."""

    def __init__(self, matte: Matte) -> None:
        super().__init__({MATTING: FixedMatte(matte), INPAINTING: PatchMatch()})


def scene() -> tuple[Picture, Matte]:
    rgb = np.full((300, 400, 3), (80, 110, 140), np.uint8)
    rgb += np.random.default_rng(2).integers(0, 16, rgb.shape, dtype=np.uint8)
    matte = np.zeros((300, 400), np.uint8)
    cv2.circle(matte, (200, 150), 50, 255, -1)
    rgb[matte > 0] = (230, 40, 40)
    return Picture(rgb), matte


def test_the_subject_is_removed_and_the_background_stays() -> None:
    picture, matte = scene()
    result = erase_foreground(picture, FixedMatteModels(matte))
    assert result.rgb[..., 0].max() < 110
    outside = cv2.distanceTransform((matte == 0).astype(np.uint8), cv2.DIST_L2, 5) > 12
    np.testing.assert_array_equal(result.rgb[outside], picture.rgb[outside])


def test_a_faint_matte_is_erased_too() -> None:
    picture, matte = scene()
    result = erase_foreground(picture, FixedMatteModels(matte // 10))
    assert result.rgb[..., 0].max() < 110


def test_a_picture_without_foreground_does_not_change() -> None:
    rgb = np.random.default_rng(6).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    result = erase_foreground(Picture(rgb), FixedMatteModels(np.zeros((300, 400), np.uint8)))
    np.testing.assert_array_equal(result.rgb, rgb)


def test_a_subject_that_fills_the_picture_is_an_error() -> None:
    picture, matte = scene()
    with pytest.raises(NothingToCopyError):
        erase_foreground(picture, FixedMatteModels(np.full_like(matte, 255)))


def test_a_cut_out_without_visible_background_is_an_error() -> None:
    picture, matte = scene()
    with pytest.raises(NothingToCopyError):
        erase_foreground(Picture(picture.rgb, matte), FixedMatteModels(matte))


def test_the_fringe_of_a_cut_out_is_no_source() -> None:
    picture, matte = scene()
    fringed = np.asarray(cv2.blur(matte, (61, 61)), np.uint8)
    with pytest.raises(NothingToCopyError):
        erase_foreground(Picture(picture.rgb, np.maximum(fringed, matte)), FixedMatteModels(matte))


def test_the_real_models_erase_the_astronaut(lite: Pool, photo: Callable[[str], Picture]) -> None:
    picture = photo("astronaut")
    result = erase_foreground(picture, lite)
    assert result.rgb.shape == picture.rgb.shape
    changed = (result.rgb != picture.rgb).any(axis=-1)
    assert 0.3 < changed.mean() < 0.8
    orange = (picture.rgb[..., 0] > 200) & (picture.rgb[..., 2] < 80)
    left = (result.rgb[..., 0] > 200) & (result.rgb[..., 2] < 80)
    assert left.sum() < 0.1 * orange.sum()
