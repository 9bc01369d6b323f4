"""A shadow under a cut-out: opaque pixels stay, alpha is right on any background, the canvas has room."""

import numpy as np
import pytest

from imaging.compositing import flatten
from imaging.picture import Picture
from imaging.shadow_layer import canvas_for, with_shadow
from imaging.shadows import ShadowShape, cast_shadow

BLACK, WHITE, MAGENTA = (0, 0, 0), (255, 255, 255), (255, 0, 255)


def cut_out(height: int = 120, width: int = 90, margin: int = 0) -> Picture:
    """Return noise with a soft rim, which touches the borders if the margin is 0."""
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    inner = slice(margin, height - margin), slice(margin, width - margin)
    alpha[inner] = 128
    alpha[margin + 2 : height - margin - 2, margin + 2 : width - margin - 2] = 255
    return Picture(rgb, alpha)


def laid(
    picture: Picture,
    background: tuple[int, int, int] | None = None,
    opacity: float = 0.6,
    colour: tuple[int, int, int] = BLACK,
    shape: ShadowShape | None = None,
) -> tuple[Picture, slice, slice]:
    """Return a picture above its shadow, and where on the canvas it is."""
    assert picture.alpha is not None
    shadow = cast_shadow(picture.alpha, shape or ShadowShape())
    canvas = canvas_for((picture.width, picture.height), shadow, opacity)
    result = with_shadow(picture, shadow, opacity, colour, background)
    assert (result.width, result.height) == (canvas.width, canvas.height)
    rows = slice(canvas.top, canvas.top + picture.height)
    return result, rows, slice(canvas.left, canvas.left + picture.width)


@pytest.mark.parametrize("background", [None, WHITE, MAGENTA])
def test_opaque_pixels_do_not_change(background: tuple[int, int, int] | None) -> None:
    picture = cut_out()
    result, rows, columns = laid(picture, background)
    opaque = picture.alpha == 255
    assert np.array_equal(result.rgb[rows, columns][opaque], picture.rgb[opaque])
    if background is None:
        assert result.alpha is not None
        assert (result.alpha[rows, columns][opaque] == 255).all()
    else:
        assert result.alpha is None


@pytest.mark.parametrize("background", [WHITE, MAGENTA, (128, 128, 128)])
def test_a_transparent_result_looks_the_same_on_a_colour(background: tuple[int, int, int]) -> None:
    transparent, _, _ = laid(cut_out())
    direct, _, _ = laid(cut_out(), background)
    assert transparent.alpha is not None
    on_colour = flatten(transparent.rgb, transparent.alpha, background)
    assert np.abs(on_colour.astype(int) - direct.rgb).max() <= 2


def test_the_canvas_grows_where_the_shadow_would_be_cut_and_only_there() -> None:
    tight, rows, columns = laid(cut_out(), shape=ShadowShape((0, 15), 15))
    assert tight.height > 120 + 15
    assert rows.start == 0
    roomy, rows, columns = laid(cut_out(400, 400, 150))
    assert (roomy.width, roomy.height, rows.start, columns.start) == (400, 400, 0, 0)


@pytest.mark.parametrize("offset", [(80, 0), (-80, 0), (0, 80)])
def test_nothing_of_the_shadow_is_cut_off(offset: tuple[int, int]) -> None:
    for shape in (ShadowShape(offset, 30), ShadowShape(offset, 30, is_floating=True)):
        result, _, _ = laid(cut_out(), opacity=1, shape=shape)
        assert result.alpha is not None
        towards = result.alpha[:, 0] if offset[0] < 0 else result.alpha[:, -1]
        assert int(result.alpha[-1].max()) <= 3
        if offset[0]:
            assert int(towards[120:].max()) <= 3


def test_intensity_darkens_steadily_and_0_draws_nothing() -> None:
    darkness = []
    for opacity in (0, 0.2, 0.6, 1):
        result, _, _ = laid(cut_out(300, 300, 100), opacity=opacity)
        assert result.alpha is not None
        darkness.append(int(result.alpha.sum()))
    assert darkness == sorted(darkness)
    assert len(set(darkness)) == 4
    picture = cut_out()
    result, _, _ = laid(picture, opacity=0)
    assert np.array_equal(result.rgb, picture.rgb)
    assert result.alpha is not None
    assert np.array_equal(result.alpha, picture.alpha)


def test_the_shadow_has_its_colour_without_a_fringe() -> None:
    result, _, _ = laid(cut_out(200, 200, 60), colour=(200, 30, 40))
    assert result.alpha is not None
    seen = (result.alpha > 0) & (result.alpha < 100)
    below = np.zeros_like(seen)
    below[142:] = seen[142:]
    assert below.any()
    assert np.abs(result.rgb[below].astype(int) - (200, 30, 40)).max() <= 1


def test_a_slow_gradient_has_no_bands() -> None:
    shape = ShadowShape((0, 0), 100, is_floating=True, width=600, height=600)
    result, _, _ = laid(cut_out(), WHITE, opacity=0.2, shape=shape)
    column = result.rgb[200:600, result.width // 2, 0].astype(int)
    runs = np.diff(np.flatnonzero(np.diff(column)))
    assert runs.max() < 12, "without dithering a level is 20 rows long here"


def test_an_opaque_picture_is_kept_whole() -> None:
    picture = Picture(cut_out().rgb)
    result = with_shadow(picture, None, 0.6, BLACK)
    assert result.alpha is not None
    assert (result.alpha == 255).all()
    assert np.array_equal(result.rgb, picture.rgb)
