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


def scene(foot: int = 320) -> tuple[Picture, Alpha]:
    """Return a noisy wall above noisy ground, and a red figure whose foot is in row `foot`."""
    rgb = np.random.default_rng(5).integers(0, 256, (400, 600, 3), np.uint8)
    alpha = np.zeros((400, 600), np.float32)
    cv2.rectangle(alpha, (270, 100), (330, foot), 1.0, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, None, 1)
    mixed = alpha[..., None] * np.float32((255, 0, 0)) + (1 - alpha[..., None]) * rgb
    return Picture(np.rint(mixed).astype(np.uint8)), alpha


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_ground_is_sharp_at_the_foot_and_more_blurred_behind_and_before_it(scale: int) -> None:
    picture, alpha = scene()
    result = background_blur(picture, known(alpha), scale).rgb

    def kept(rows: slice) -> float:
        where = np.zeros(alpha.shape, bool)
        where[rows, 345:365] = True
        return detail(result, where) / detail(picture.rgb, where)

    assert kept(slice(319, 322)) > 0.8
    for sign in (-1, 1):
        shares = [kept(slice(320 + sign * d - 3, 320 + sign * d + 3)) for d in (4, 15, 50)]
        assert all(a > b for a, b in pairwise(shares))
    assert kept(slice(20, 250)) < 0.25


def test_the_wall_is_blurred_as_without_ground_and_the_subject_is_kept() -> None:
    picture, alpha = scene()
    result = background_blur(picture, known(alpha)).rgb
    cut = alpha.copy()
    cut[300:] = alpha[300]
    without = background_blur(picture, known(cut)).rgb
    solid = np.rint(255 * alpha) == 255
    assert np.array_equal(result[solid], picture.rgb[solid])
    assert np.abs(result[:200].astype(int) - without[:200]).max() <= 2


@pytest.mark.parametrize("scale", [1, 3, 5])
def test_no_halo_of_the_subject_appears_on_its_ground(scale: int) -> None:
    alpha = scene()[1]
    red, blue = np.float32((255, 0, 0)), np.float32((0, 90, 160))
    mixed = np.asarray(blue + alpha[..., None] * (red - blue), np.float32)
    picture = Picture(np.rint(mixed).astype(np.uint8))
    result = background_blur(picture, known(alpha), scale).rgb
    difference = np.abs(result.astype(int) - picture.rgb)
    assert difference.max() <= 6


def test_a_subject_cut_by_the_lower_border_has_no_ground() -> None:
    picture, alpha = scene(foot=420)
    result = background_blur(picture, known(alpha)).rgb
    where = np.zeros(alpha.shape, bool)
    where[385:398, 345:400] = True
    assert detail(result, where) < 0.2 * detail(picture.rgb, where)


def test_strips_of_a_large_picture_leave_no_seam_on_the_ground() -> None:
    columns = np.arange(1400) // 40 % 2
    rgb = np.ascontiguousarray(np.broadcast_to((60 + 120 * columns)[:, None], (1400, 1400, 3)))
    alpha = np.zeros((1400, 1400), np.float32)
    alpha[200:1030, 600:800] = 1
    result = background_blur(Picture(rgb.astype(np.uint8)), known(alpha), 3).rgb.astype(int)
    outside = result[:, 820:]
    assert np.abs(np.diff(outside, axis=0)).max() <= 6


def test_strengths_differ_also_on_the_ground() -> None:
    _, alpha = scene()
    stones = np.random.default_rng(6).integers(0, 256, (40, 60, 3), np.uint8)
    picture = Picture(np.asarray(cv2.resize(stones, (600, 400)), np.uint8))
    where = np.zeros(alpha.shape, bool)
    where[270:310, 345:400] = True
    results = [background_blur(picture, known(alpha), scale).rgb for scale in range(1, 6)]
    change = [float(np.abs(r.astype(int) - picture.rgb)[where].mean()) for r in results]
    assert all(b > 1.1 * a for a, b in pairwise(change))


def test_a_vignette_in_the_alpha_does_not_blur_the_subject(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb
    y, x = np.mgrid[-1 : 1 : rgb.shape[0] * 1j, -1 : 1 : rgb.shape[1] * 1j]
    own = np.rint(255 * np.clip((1.42 - np.hypot(x, y)) / 0.6, 0, 1)).astype(np.uint8)
    solid = (subject_alpha(Picture(rgb), lite) == 255) & (own > 40)
    assert (solid & (own < 250)).sum() > 1000
    result = background_blur(Picture(rgb, own), lite)
    # Half transparent, a pixel's opacity is rounded: one level.
    assert np.abs(result.rgb[solid].astype(int) - rgb[solid]).max() <= 1
