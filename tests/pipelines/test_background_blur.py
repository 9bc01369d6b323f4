"""Background blur: sharp subject, five strengths, no colour of the subject around it."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from imaging.picture import Alpha, Matte, Picture, Rgb
from models.roles import MATTING, Models
from models.runtime.pool import Pool
from pipelines.background_blur import background_blur
from pipelines.common.subject import subject_alpha
from tests.helpers.fake_models import FakeModels


class KnownMatte:
    """A matting model that returns a fixed matte."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = alpha

    def matte(self, rgb: Rgb) -> Matte:
        return np.asarray(np.rint(255 * self.alpha), np.uint8)


def known(alpha: Alpha) -> Models:
    return FakeModels({MATTING: KnownMatte(alpha)})


def detail(rgb: Rgb, where: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(rgb, cv2.CV_32F))[where].mean())


def test_subject_does_not_change_and_the_rest_loses_detail(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    picture = photo("astronaut")
    alpha = subject_alpha(picture, lite)
    result = background_blur(picture, lite)
    assert result.alpha is None
    assert np.array_equal(result.rgb[alpha == 255], picture.rgb[alpha == 255])
    assert detail(result.rgb, alpha == 0) < 0.3 * detail(picture.rgb, alpha == 0)


@pytest.mark.slow
def test_each_strength_is_visibly_stronger_than_the_one_before(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    picture = photo("astronaut")
    clear = subject_alpha(picture, lite) == 0
    results = [background_blur(picture, lite, scale).rgb for scale in range(1, 6)]
    change = [float(np.abs(r.astype(int) - picture.rgb)[clear].mean()) for r in results]
    assert all(b > 1.1 * a for a, b in pairwise(change))
    for one, other in pairwise(results):
        assert np.abs(one.astype(int) - other)[clear].mean() > 1


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_no_colour_of_the_subject_reaches_the_surroundings(scale: int) -> None:
    alpha = np.zeros((400, 600), np.float32)
    cv2.circle(alpha, (300, 200), 120, 1.0, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, None, 2)
    mixed = alpha[..., None] * np.float32((255, 0, 0)) + (1 - alpha[..., None]) * np.float32(
        (0, 90, 160)
    )
    picture = Picture(np.rint(mixed).astype(np.uint8))
    result = background_blur(picture, known(alpha), scale)
    outside = cv2.convertScaleAbs(alpha, alpha=255) == 0
    assert np.abs(result.rgb[outside].astype(int) - (0, 90, 160)).max() <= 4


def test_blur_grows_with_the_picture() -> None:
    step = np.zeros((300, 400, 3), np.uint8)
    step[:, 200:] = 255
    large = cv2.resize(step, (1600, 1200), interpolation=cv2.INTER_NEAREST)
    assert 3 < ramp_width(large) / ramp_width(step) < 5


def ramp_width(rgb: Rgb) -> int:
    result = background_blur(Picture(rgb), known(np.zeros(rgb.shape[:2], np.float32)))
    row = result.rgb[rgb.shape[0] // 2, :, 0]
    return int(np.count_nonzero((row > 5) & (row < 250)))


def test_alpha_of_the_input_is_returned_and_marks_the_subject(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb
    own = np.full(rgb.shape[:2], 255, np.uint8)
    own[:100] = 80
    unchanged = background_blur(Picture(rgb, own), lite)
    assert np.array_equal(unchanged.rgb, rgb)
    forced = background_blur(Picture(rgb, own), lite, force_rmbg=True)
    for result in (unchanged, forced):
        assert result.alpha is not None
        assert np.array_equal(result.alpha, own)
    assert not np.array_equal(forced.rgb, rgb)


def test_force_rmbg_blurs_the_colours_beneath_the_alpha() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8)
    own = np.full((300, 400), 255, np.uint8)
    own[:, :150] = 0
    matte = np.zeros((300, 400), np.float32)
    matte[100:200, 100:200] = 1
    forced = background_blur(Picture(rgb, own), known(matte), force_rmbg=True)
    plain = background_blur(Picture(rgb), known(matte))
    assert np.array_equal(forced.rgb, plain.rgb)
    assert forced.alpha is not None
    assert np.array_equal(forced.alpha, own)


@pytest.mark.parametrize("scale", [0, 6, -1])
def test_strength_out_of_bounds_is_refused(lite: Pool, scale: int) -> None:
    with pytest.raises(ValueError, match="scale"):
        background_blur(Picture(np.zeros((4, 4, 3), np.uint8)), lite, scale)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 800), (800, 1), (3, 2)])
def test_any_size_is_accepted(lite: Pool, shape: tuple[int, int]) -> None:
    picture = Picture(np.full((*shape, 3), 120, np.uint8))
    for scale in range(1, 6):
        assert background_blur(picture, lite, scale).rgb.shape == picture.rgb.shape


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.5, 0.9])
def test_an_uncertain_matte_darkens_nothing(opacity: float) -> None:
    grey = Picture(np.full((120, 160, 3), 200, np.uint8))
    matte = np.full((120, 160), opacity, np.float32)
    result = background_blur(grey, known(matte))
    assert np.abs(result.rgb.astype(int) - 200).max() <= 2
