"""Expansion: the picture at the requested place, unchanged, and a margin that matches it."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.picture import Mask, Matte, Picture, Rgb
from models.backends.classical.patchmatch import PatchMatch
from models.roles import INPAINTING, MATTING, OUTPAINTING
from models.runtime.pool import Pool
from pipelines.errors import OutsideCanvasError
from pipelines.image_expansion import image_expansion
from tests.helpers.fake_models import FakeModels, GenerativeModels, SeedPainter


class RedMatting:
    """A matting model whose subject is everything red."""

    def matte(self, rgb: Rgb) -> Matte:
        red = (rgb[..., 0] > 180) & (rgb[..., 1] < 120)
        return np.where(red, 255, 0).astype(np.uint8)


MODELS = FakeModels({MATTING: RedMatting(), INPAINTING: PatchMatch()})
"""Models that matte what is red, with the real inpainting."""


def scene(height: int = 120, width: int = 160) -> Picture:
    rgb = np.full((height, width, 3), (70, 110, 150), np.uint8)
    rgb += np.random.default_rng(4).integers(0, 16, rgb.shape, dtype=np.uint8)
    cv2.circle(rgb, (width // 2, height // 2), height // 4, (240, 30, 30), -1)
    return Picture(rgb)


def test_the_picture_itself_does_not_change() -> None:
    picture = scene()
    result = image_expansion(picture, MODELS, (300, 260), (160, 120), (70, 90))
    assert result.rgb.shape == (260, 300, 3)
    np.testing.assert_array_equal(result.rgb[90:210, 70:230], picture.rgb)


def test_a_resized_picture_is_resampled_by_lanczos() -> None:
    picture = scene()
    result = image_expansion(picture, MODELS, (300, 260), (200, 90), (10, 20))
    resized = Image.fromarray(picture.rgb).resize((200, 90), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(result.rgb[20:110, 10:210], np.asarray(resized))


@pytest.mark.parametrize("location", [(-60, -40), (250, 200), (-60, 200)])
def test_parts_outside_the_canvas_are_cropped(location: tuple[int, int]) -> None:
    picture, (left, top) = scene(), location
    result = image_expansion(picture, MODELS, (300, 260), (160, 120), location)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + 160, 300), min(top + 120, 260)
    np.testing.assert_array_equal(
        result.rgb[y0:y1, x0:x1], picture.rgb[y0 - top : y1 - top, x0 - left : x1 - left]
    )


@pytest.mark.parametrize("location", [(300, 0), (0, 260), (-160, 0), (0, -120), (10**6, 0)])
def test_a_picture_outside_the_canvas_is_refused(location: tuple[int, int]) -> None:
    with pytest.raises(OutsideCanvasError):
        image_expansion(scene(), MODELS, (300, 260), (160, 120), location)


def test_a_huge_size_costs_no_more_than_its_part_on_the_canvas() -> None:
    picture = scene()
    result = image_expansion(picture, MODELS, (100, 80), (160_000, 120_000), (-40_000, -30_000))
    assert result.rgb.shape == (80, 100, 3)
    expected = picture.rgb[30, 40].astype(int)
    assert np.abs(result.rgb.astype(int) - expected).max() < 24


def test_by_default_the_picture_is_in_the_middle_at_its_size() -> None:
    picture = scene()
    result = image_expansion(picture, MODELS, (260, 220))
    np.testing.assert_array_equal(result.rgb[50:170, 50:210], picture.rgb)


def test_by_default_a_larger_picture_is_reduced_to_fit() -> None:
    picture = scene(400, 800)
    result = image_expansion(picture, MODELS, (200, 200))
    resized = Image.fromarray(picture.rgb).resize((200, 100), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(result.rgb[50:150], np.asarray(resized))


@pytest.mark.slow
def test_no_second_subject_appears_in_the_margin() -> None:
    result = image_expansion(scene(240, 320), MODELS, (1000, 800), (320, 240), (340, 280))
    margin = np.ones((800, 1000), np.bool_)
    margin[280:520, 340:660] = False
    assert (result.rgb[margin][:, 0] < 120).all()


def test_a_subject_without_background_is_continued() -> None:
    picture = Picture(np.full((60, 80, 3), (240, 30, 30), np.uint8))
    result = image_expansion(picture, MODELS, (200, 200), (80, 60), (60, 70))
    assert np.abs(result.rgb.astype(int) - (240, 30, 30)).max() <= 2


@pytest.mark.slow
def test_there_is_no_step_of_brightness_at_the_border() -> None:
    ramp = np.linspace(60, 200, 400)[None, :, None]
    rgb = np.broadcast_to(ramp, (300, 400, 3)).round().astype(np.uint8)
    result = image_expansion(Picture(rgb), MODELS, (800, 600), (400, 300), (200, 150))
    for inside, outside in ((150, 149), (449, 450)):
        step = result.rgb[inside, 200:600].astype(int) - result.rgb[outside, 200:600]
        assert np.abs(step).mean() < 6


@pytest.mark.slow
def test_the_same_seed_gives_the_same_picture_and_others_give_variants() -> None:
    picture = scene()
    first, repeated, other = (
        image_expansion(picture, MODELS, (300, 260), (160, 120), (70, 90), seed).rgb
        for seed in (8, 8, 9)
    )
    np.testing.assert_array_equal(first, repeated)
    assert (first != other).any()
    np.testing.assert_array_equal(other[90:210, 70:230], picture.rgb)


def test_transparent_parts_are_generated_and_half_transparent_ones_blended() -> None:
    picture = scene()
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[:30], alpha[30:40] = 0, 128
    hidden = picture.rgb.copy()
    hidden[:30] = (0, 255, 0)
    result = image_expansion(Picture(hidden, alpha), MODELS, (260, 220), (160, 120), (50, 50))
    assert result.alpha is None
    inner = result.rgb[50:170, 50:210]
    np.testing.assert_array_equal(inner[40:], picture.rgb[40:])
    assert np.abs(inner[:40, :40].astype(int) - (77, 117, 157)).max() < 30


def half_hidden(height: int = 120, width: int = 160) -> Picture:
    """Return a scene whose alpha differs in every row and column, green where it is hidden."""
    picture = scene(height, width)
    alpha = np.add.outer(np.arange(height) % 50 + 20, np.arange(width)).astype(np.uint8)
    alpha[40:60, -30:] = alpha[:8, :8] = 0
    rgb = picture.rgb.copy()
    rgb[alpha == 0] = (0, 255, 0)
    return Picture(rgb, alpha)


def test_with_alpha_the_picture_keeps_colours_and_alpha_bit_for_bit() -> None:
    picture = half_hidden()
    assert picture.alpha is not None
    result = image_expansion(picture, MODELS, (260, 220), None, (50, 40), preserve_alpha=True)
    assert result.alpha is not None
    np.testing.assert_array_equal(result.rgb[40:160, 50:210], picture.rgb)
    np.testing.assert_array_equal(result.alpha[40:160, 50:210], picture.alpha)


def test_a_new_pixel_has_the_alpha_of_the_nearest_in_its_row_or_column_or_of_the_corner() -> None:
    picture = half_hidden()
    own = picture.alpha
    assert own is not None
    result = image_expansion(picture, MODELS, (260, 220), None, (50, 40), preserve_alpha=True).alpha
    assert result is not None
    for row in range(120):
        assert (result[40 + row, :50] == own[row, 0]).all()
        assert (result[40 + row, 210:] == own[row, -1]).all()
    for column in range(160):
        assert (result[:40, 50 + column] == own[0, column]).all()
        assert (result[160:, 50 + column] == own[-1, column]).all()
    assert (result[:40, :50] == own[0, 0]).all()
    assert (result[:40, 210:] == own[0, -1]).all()
    assert (result[160:, :50] == own[-1, 0]).all()
    assert (result[160:, 210:] == own[-1, -1]).all()


@pytest.mark.parametrize("preserve_alpha", [True, False])
def test_hidden_colours_are_not_continued(preserve_alpha: bool) -> None:
    picture = half_hidden()
    result = image_expansion(
        picture, MODELS, (260, 220), None, (50, 40), preserve_alpha=preserve_alpha
    )
    green = (result.rgb[..., 1] > 200) & (result.rgb[..., 0] < 60)
    green[40:160, 50:210] &= not preserve_alpha  # kept there, hidden as before
    assert not green.any()


def test_false_is_opaque_with_the_colours_of_what_is_visible() -> None:
    picture = half_hidden()
    assert picture.alpha is not None
    result = image_expansion(picture, MODELS, (260, 220), None, (50, 40), preserve_alpha=False)
    assert result.alpha is None
    near_hidden = cv2.dilate((picture.alpha <= 12).view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    clear = (picture.alpha >= picture.alpha.max() / 4) & ~near_hidden
    np.testing.assert_array_equal(result.rgb[40:160, 50:210][clear], picture.rgb[clear])


@pytest.mark.parametrize("preserve_alpha", [None, True, False])
def test_without_alpha_preserve_alpha_has_no_effect(preserve_alpha: bool | None) -> None:
    picture = scene()
    expected = image_expansion(picture, MODELS, (200, 150), seed=3)
    result = image_expansion(picture, MODELS, (200, 150), seed=3, preserve_alpha=preserve_alpha)
    assert result.alpha is None
    np.testing.assert_array_equal(result.rgb, expected.rgb)


class ClearOutpainting(SeedPainter):
    """Paints blue, also over the picture."""

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        return np.full_like(canvas, (0, 0, 200))


@pytest.mark.parametrize("preserve_alpha", [True, False])
def test_no_seam_of_a_generated_margin_shows_hidden_colours(preserve_alpha: bool) -> None:
    rgb = np.full((300, 400, 3), (200, 0, 0), np.uint8)
    alpha = np.full((300, 400), 255, np.uint8)
    alpha[100:200, 300:] = 0
    rgb[alpha == 0] = (0, 255, 0)
    models = GenerativeModels({OUTPAINTING: ClearOutpainting()})
    result = image_expansion(Picture(rgb, alpha), models, (600, 300), preserve_alpha=preserve_alpha)
    shown = result.rgb if result.alpha is None else result.rgb[result.alpha > 0]
    assert shown[..., 1].max() == 0


def test_a_picture_of_one_pixel_is_expanded_with_its_alpha() -> None:
    picture = Picture(np.full((1, 1, 3), 77, np.uint8), np.full((1, 1), 128, np.uint8))
    result = image_expansion(picture, MODELS, (2, 1), (1, 1), (0, 0), preserve_alpha=True)
    assert result.alpha is not None
    assert result.alpha.tolist() == [[128, 128]]
    assert np.abs(result.rgb.astype(int) - 77).max() <= 1


def test_a_resized_picture_has_exact_colours_beneath_its_alpha() -> None:
    picture = Picture(
        np.full((60, 80, 3), (200, 120, 40), np.uint8), np.full((60, 80), 9, np.uint8)
    )
    result = image_expansion(picture, MODELS, (60, 40), (40, 30), (10, 5), preserve_alpha=True)
    assert result.alpha is not None
    assert (result.alpha == 9).all()
    assert (result.rgb[5:35, 10:50] == (200, 120, 40)).all()


@pytest.mark.slow
def test_the_real_models_expand_a_photograph(lite: Pool, photo: Callable[[str], Picture]) -> None:
    picture = photo("astronaut")
    size = (picture.width, picture.height)
    result = image_expansion(picture, lite, (700, 700), size, (90, 100))
    inner = result.rgb[100 : 100 + picture.height, 90 : 90 + picture.width]
    np.testing.assert_array_equal(inner, picture.rgb[: inner.shape[0], : inner.shape[1]])


def test_a_cut_out_made_opaque_stands_on_white_and_is_not_copied(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb[::2, ::2]
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    inside = (x - 128) ** 2 + (y - 128) ** 2 < 90**2
    cut_out = Picture(rgb, np.where(inside, 255, 0).astype(np.uint8))
    result = image_expansion(cut_out, lite, (456, 256), preserve_alpha=False)
    assert result.alpha is None
    shown = result.rgb[:, 100:356]
    assert np.array_equal(shown[inside], rgb[inside])
    assert shown[~inside].min() == 255
    assert result.rgb[:, :100].min() >= 250
    assert result.rgb[:, 356:].min() >= 250
