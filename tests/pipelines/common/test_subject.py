"""The subject of a picture: when its own alpha marks it, and when it is a photograph with a few hidden pixels."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from imaging.compositing import cut_out
from imaging.picture import Alpha8, Matte, Picture, Rgb
from models.roles import MATTING
from models.runtime.pool import Pool
from pipelines.background_blur import background_blur
from pipelines.background_replace import background_colour
from pipelines.common.subject import (
    has_cut_out,
    subject_alpha,
    subject_matte,
    subject_share,
    without_alpha,
)
from pipelines.crop import crop
from pipelines.objects_mask_generator import objects_mask_generator
from tests.helpers.fake_models import EllipseMatting, FakeModels

SIZE = (300, 400)  # height and width
RED = (255, 0, 0)


def rounded(radius: float, size: tuple[int, int] = SIZE) -> Alpha8:
    """Return an alpha with round corners. radius: as a share of the shorter side."""
    height, width = size
    large = Image.new("L", (4 * width, 4 * height))
    box = (0, 0, 4 * width - 1, 4 * height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, 4 * radius * min(size), fill=255)
    return np.asarray(large.resize((width, height), Image.Resampling.LANCZOS))


def bordered(width: int, size: tuple[int, int] = SIZE) -> Alpha8:
    """Return an alpha with a transparent border, `width` pixels wide."""
    alpha = np.zeros(size, np.uint8)
    alpha[width:-width, width:-width] = 255
    return alpha


def vignette(size: tuple[int, int] = SIZE) -> Alpha8:
    """Return an alpha that fades to 0 in the corners."""
    height, width = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    opacity = np.clip((1.41 - np.hypot(x, y)) / 0.5, 0, 1)
    return np.asarray(np.rint(255 * opacity), np.uint8)


def spotted(alpha: int) -> Alpha8:
    """Return an alpha with a single pixel that is not opaque."""
    pixels = np.full(SIZE, 255, np.uint8)
    pixels[40, 30] = alpha
    return pixels


FRAMES = {
    "opaque": np.full(SIZE, 255, np.uint8),
    "one pixel of 254": spotted(254),
    "one pixel of 0": spotted(0),
    "all 254": np.full(SIZE, 254, np.uint8),
    "watermark": np.full(SIZE, 127, np.uint8),
    "faint": np.full(SIZE, 3, np.uint8),
    **{f"corners {radius}": rounded(radius) for radius in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)},
    "icon": rounded(0.225, (300, 300)),
    "vignette": vignette(),
    "border of 1": bordered(1),
    "border of 2": bordered(2),
    "border of 1, small": bordered(1, (48, 64)),
    "rounded half": rounded(0.1) // 2,
    "a margin of 3 %": bordered(9),
    "a margin of 10 %": bordered(30),
    "a feathered frame": np.asarray(cv2.blur(bordered(20), (31, 31)), np.uint8),
}
"""Alphas of pictures that hide next to nothing, or only their corners."""


def cut(corners: int) -> Alpha8:
    """Return the alpha of a subject that fills most of the frame; it leaves some upper corners free."""
    alpha = np.full(SIZE, 255, np.uint8)
    triangles = ([(0, 0), (70, 0), (0, 52)], [(399, 0), (329, 0), (399, 52)])
    for triangle in triangles[:corners]:
        cv2.fillPoly(alpha, [np.array(triangle)], 0, cv2.LINE_AA)
    return alpha


CUT_OUTS = {
    "two corners": cut(2),
    "half": np.repeat([[0, 255]], 200, axis=1).repeat(300, axis=0).astype(np.uint8),
    "a circle": cv2.circle(np.zeros((300, 300), np.uint8), (150, 150), 150, 255, -1),
    "faint": cut(2) // 5,
    "a thing on a canvas": bordered(50),
    "nothing": np.zeros(SIZE, np.uint8),
}
"""Alphas that mark a subject, and one that says that there is none."""


def with_alpha(alpha: Alpha8, rgb: Rgb | None = None) -> Picture:
    if rgb is None:
        rgb = np.random.default_rng(2).integers(0, 256, (*alpha.shape, 3), np.uint8)
    return Picture(rgb, alpha)


class Recording(EllipseMatting):
    """Finds an ellipse and keeps what it was shown."""

    shown: Rgb

    def matte(self, rgb: Rgb) -> Matte:
        self.shown = rgb
        return super().matte(rgb)


@pytest.mark.parametrize("alpha", FRAMES.values(), ids=FRAMES)
def test_an_alpha_that_hides_next_to_nothing_is_no_cut_out(alpha: Alpha8) -> None:
    picture = with_alpha(alpha)
    matte = EllipseMatting().matte(picture.rgb)
    assert not has_cut_out(picture)
    assert np.array_equal(subject_alpha(picture, FakeModels()), np.minimum(matte, alpha))


@pytest.mark.parametrize(("degrees", "expand"), [(1, True), (2, True), (-2, True), (5, False)])
def test_a_straightened_photograph_is_no_cut_out(degrees: int, expand: bool) -> None:
    whole = Image.new("L", (400, 300), 255)
    alpha = np.asarray(whole.rotate(degrees, Image.Resampling.BICUBIC, expand=expand))
    assert 0.015 < (alpha < 128).mean() < 0.1
    assert not has_cut_out(with_alpha(alpha, np.zeros((*alpha.shape, 3), np.uint8)))


@pytest.mark.parametrize("alpha", CUT_OUTS.values(), ids=CUT_OUTS)
def test_an_alpha_that_cuts_out_is_the_subject(alpha: Alpha8) -> None:
    models = FakeModels()
    assert has_cut_out(with_alpha(alpha))
    assert np.array_equal(subject_alpha(with_alpha(alpha), models), alpha)
    assert models.use_count == 0


def test_a_picture_without_alpha_is_no_cut_out() -> None:
    assert not has_cut_out(Picture(np.zeros((4, 4, 3), np.uint8)))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (3, 500)])
def test_any_size_has_an_answer(size: tuple[int, int]) -> None:
    assert has_cut_out(with_alpha(np.zeros(size, np.uint8)))
    assert not has_cut_out(with_alpha(np.full(size, 255, np.uint8)))


@pytest.mark.parametrize(
    ("name", "row", "column", "height", "width"),
    [
        ("astronaut", 240, 20, 260, 340),
        ("chelsea", 0, 60, 240, 300),
        ("coffee", 60, 120, 300, 300),
    ],
)
def test_photographs_cut_out_are_cut_outs_also_where_they_fill_97_per_cent(
    lite: Pool,
    photo: Callable[[str], Picture],
    name: str,
    row: int,
    column: int,
    height: int,
    width: int,
) -> None:
    picture = photo(name)
    alpha = subject_matte(picture, lite)
    close = np.ascontiguousarray(alpha[row : row + height, column : column + width])
    assert 0.025 < (close < 128).mean() < 0.035
    assert has_cut_out(with_alpha(alpha))
    assert has_cut_out(with_alpha(close))


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize(
    "frame",
    [lambda size: rounded(0.1, size), vignette, lambda size: bordered(1, size)],
    ids=["corners", "vignette", "border"],
)
def test_a_framed_photograph_is_edited_as_without_its_frame(
    lite: Pool,
    photo: Callable[[str], Picture],
    name: str,
    frame: Callable[[tuple[int, int]], Alpha8],
) -> None:
    rgb = photo(name).rgb
    own = frame(rgb.shape[:2])
    plain, framed = Picture(rgb), Picture(rgb, own)
    alpha, expected = subject_alpha(framed, lite), subject_alpha(plain, lite)
    opaque = own == 255
    assert (alpha <= own).all()
    assert np.abs(alpha.astype(int) - expected)[opaque].mean() < 8
    blurred = background_blur(framed, lite)
    assert blurred.alpha is not None
    assert np.array_equal(blurred.alpha, own)
    change = np.abs(blurred.rgb.astype(int) - rgb).max(axis=2)
    assert change[opaque & (expected == 0)].mean() > 5
    assert change[opaque & (alpha == 255)].max() == 0
    red = background_colour(framed, lite, RED, original_quality=True).rgb
    assert (red[(alpha == 0) | (own == 0)] == RED).all()


def test_what_the_frame_hides_does_not_reach_the_blur() -> None:
    rgb = np.full((*SIZE, 3), (0, 90, 160), np.uint8)
    own = rounded(0.15)
    rgb[own == 0] = (255, 255, 0)
    result = background_blur(Picture(rgb, own), FakeModels())
    assert np.abs(result.rgb[own == 255].astype(int) - (0, 90, 160)).max() <= 4


def test_the_model_sees_hidden_parts_as_grey_and_the_rest_at_full_strength() -> None:
    own = rounded(0.1)
    for alpha in (own, own // 2):
        picture = with_alpha(alpha)
        matting = Recording()
        subject_matte(picture, FakeModels({MATTING: matting}))
        assert (matting.shown[alpha == 0] == 128).all()
        most = alpha == alpha.max()
        assert np.array_equal(matting.shown[most], picture.rgb[most])


def test_the_share_does_not_depend_on_a_uniform_alpha() -> None:
    expected = EllipseMatting().matte(np.zeros((*SIZE, 3), np.uint8))
    for level in (255, 254, 127):
        picture = with_alpha(np.full(SIZE, level, np.uint8))
        assert np.array_equal(subject_share(picture, FakeModels()), expected)
        labels = objects_mask_generator(picture, FakeModels())
        assert np.array_equal(labels == 1, expected > 0)


def test_a_framed_picture_is_cropped_to_its_subject() -> None:
    picture = with_alpha(rounded(0.1))
    result, plain = crop(picture, FakeModels()), crop(Picture(picture.rgb), FakeModels())
    assert np.array_equal(result.rgb, plain.rgb)


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_force_rmbg_shows_the_model_a_photograph_beneath_an_alpha_but_no_made_up_colours(
    photo: Callable[[str], Picture], name: str
) -> None:
    rgb = photo(name).rgb
    alpha = EllipseMatting().matte(rgb)
    made_up = cut_out(Picture(rgb), alpha)
    black = Picture(np.where(alpha[..., None] > 0, rgb, 0).astype(np.uint8), alpha)
    assert np.array_equal(without_alpha(Picture(rgb, alpha)).rgb, rgb)
    for picture in (made_up, black):
        shown = without_alpha(picture)
        assert shown.alpha is None
        assert (shown.rgb[alpha == 0] == 128).all()
        assert np.array_equal(shown.rgb[alpha == 255], rgb[alpha == 255])


@pytest.mark.parametrize("alpha", [0, 90, 255])
def test_force_rmbg_keeps_all_colours_if_none_are_hidden_or_all(alpha: int) -> None:
    picture = with_alpha(np.full(SIZE, alpha, np.uint8))
    assert np.array_equal(without_alpha(picture).rgb, picture.rgb)


def test_a_matte_of_wisps_is_no_subject() -> None:
    picture = Picture(np.random.default_rng(5).integers(0, 256, (*SIZE, 3), np.uint8))
    matting = FixedMatting(np.full(SIZE, 100, np.uint8))
    assert subject_matte(picture, FakeModels({MATTING: matting})).max() == 0


def test_what_the_model_does_not_find_is_told_from_an_even_background() -> None:
    rgb = np.full((*SIZE, 3), 250, np.uint8)
    rgb[100:200, 150:250] = 235
    alpha = subject_matte(
        Picture(rgb), FakeModels({MATTING: FixedMatting(np.zeros(SIZE, np.uint8))})
    )
    assert alpha[105:195, 155:245].min() == 255
    assert alpha[:90].max() == 0


class FixedMatting:
    """Finds the same matte in every picture."""

    def __init__(self, matte: Matte) -> None:
        self._matte = matte

    def matte(self, rgb: Rgb) -> Matte:
        return self._matte
