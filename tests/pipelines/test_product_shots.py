"""Product shots: tight cutouts, packshots in the middle, shadows that leave the product as it is."""

from typing import Any

import cv2
import numpy as np
import pytest

from imaging.compositing import cut_out, flatten
from imaging.picture import Alpha, Alpha8, Matte, Picture, Rgb
from imaging.shadows import ShadowShape
from models.roles import MATTING, Models
from pipelines import product_shadow as shadow_module
from pipelines.background_replace import background_colour
from pipelines.common.subject import has_cut_out, has_product_cut_out
from pipelines.errors import CanvasTooLargeError, NoForegroundError
from pipelines.product_cutout import product_cutout
from pipelines.product_packshot import FILLED, SIDE, product_packshot
from pipelines.product_shadow import ShadowStyle, product_shadow
from tests.helpers.fake_models import FakeModels

WHITE, GREEN = (255, 255, 255), (0, 255, 0)


class KnownMatte:
    """A matting model that returns a fixed matte."""

    def __init__(self, alpha: Alpha) -> None:
        self.alpha = alpha

    def matte(self, rgb: Rgb) -> Matte:
        return np.asarray(np.rint(255 * self.alpha), np.uint8)


def alpha_of(rows: slice, columns: slice) -> Alpha:
    alpha = np.zeros((200, 300), np.float32)
    alpha[rows, columns] = 1
    return alpha


BLOCK = alpha_of(slice(40, 140), slice(50, 170))


def known(alpha: Alpha = BLOCK) -> Models:
    return FakeModels({MATTING: KnownMatte(alpha)})


def noise() -> Picture:
    return Picture(np.random.default_rng(4).integers(0, 256, (200, 300, 3), np.uint8))


def cut(level: int = 255) -> Picture:
    """Return noise with an alpha that cuts out the block, at this opacity."""
    return Picture(noise().rgb, (BLOCK * level).astype(np.uint8))


def box(alpha: Alpha8) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is opaque."""
    rows, columns = (np.flatnonzero((alpha > 127).any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_a_cutout_is_tight_and_keeps_the_pixels() -> None:
    result = product_cutout(noise(), known())
    assert np.array_equal(result.rgb, noise().rgb[40:140, 50:170])


def test_a_cutout_keeps_partial_transparency_unless_asked_otherwise() -> None:
    kept = product_cutout(cut(128), FakeModels({}))
    solid = product_cutout(cut(128), FakeModels({}), preserve_alpha=False)
    assert kept.alpha is not None
    assert (kept.alpha == 128).all()
    assert solid.alpha is None or np.median(solid.alpha) == 255


@pytest.mark.parametrize("background", [WHITE, GREEN, None])
def test_a_packshot_has_the_product_in_the_middle(
    background: tuple[int, int, int] | None,
) -> None:
    result = product_packshot(noise(), known(), background)
    assert (result.width, result.height) == (SIDE, SIDE)
    if background is None:
        assert result.alpha is not None
        top, bottom, left, right = box(result.alpha)
        assert abs((right - left) - FILLED * SIDE) <= 2
        assert abs((bottom - top) * 120 - (right - left) * 100) <= 240, "the ratio stays"
        assert abs(top - (SIDE - bottom)) <= 1
        assert abs(left - (SIDE - right)) <= 1
    else:
        assert result.alpha is None
        assert (result.rgb[:100] == background).all()
        assert (result.rgb[-100:, :100] == background).all()


def test_a_packshot_of_a_cut_out_needs_no_model_and_has_no_fringe() -> None:
    picture = cut()
    picture.rgb[picture.alpha == 0] = GREEN
    picture.rgb[picture.alpha == 255] = (200, 0, 0)
    result = product_packshot(picture, FakeModels({}), WHITE)
    assert result.rgb[..., 1].astype(int).min() == 0
    assert (result.rgb[..., 0] >= 199).all(), "the hidden green shows nowhere"


def test_what_has_no_product_is_an_error() -> None:
    nothing = known(np.zeros((200, 300), np.float32))
    flat = Picture(np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8))
    for work in (product_cutout, product_packshot):
        with pytest.raises(NoForegroundError):
            work(flat, nothing)
    with pytest.raises(NoForegroundError):
        product_shadow(flat, nothing, ShadowStyle())


def test_a_photograph_is_cut_out_before_it_gets_a_shadow() -> None:
    result = product_shadow(noise(), known(), ShadowStyle())
    cut_result = product_shadow(cut(), FakeModels({}), ShadowStyle())
    assert result.alpha is not None
    assert cut_result.alpha is not None
    assert np.array_equal(result.alpha, cut_result.alpha)
    assert np.array_equal(result.rgb[40:140, 50:170], noise().rgb[40:140, 50:170])
    assert result.alpha[145, 110] > 40
    assert result.alpha[20, 110] == 0


def test_force_rmbg_ignores_an_alpha() -> None:
    other = known(alpha_of(slice(20, 60), slice(20, 80)))
    result = product_shadow(cut(), other, ShadowStyle(), force_rmbg=True)
    assert result.alpha is not None
    assert (result.alpha[20:60, 20:80] == 255).all()
    assert (result.alpha[80:140, 100:170] < 255).all()


def test_a_shadow_shows_through_glass_unless_it_is_made_solid() -> None:
    style = ShadowStyle(background=WHITE)
    kept, solid = (
        product_shadow(cut(128), FakeModels({}), style, preserve_alpha=value)
        for value in (True, False)
    )
    inner = slice(60, 120), slice(70, 150)
    assert np.array_equal(solid.rgb[inner], noise().rgb[inner])
    through = flatten(noise().rgb, np.full((200, 300), 128, np.uint8), WHITE)
    assert np.abs(kept.rgb[inner].astype(int) - through[inner]).max() <= 2


def test_colour_and_background_are_those_asked_for() -> None:
    style = ShadowStyle(ShadowShape(), (255, 0, 0), 1.0, GREEN)
    result = product_shadow(cut(), FakeModels({}), style)
    assert result.alpha is None
    assert (result.rgb[0] == GREEN).all()
    foot = result.rgb[141, 110].astype(int)
    assert foot[0] > 80 > foot[2]
    assert foot[1] < 180


def test_a_canvas_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "MAX_AREA", 200 * 300)
    style = ShadowStyle(ShadowShape((0, 300)))
    with pytest.raises(CanvasTooLargeError):
        product_shadow(cut(), FakeModels({}), style)
    product_shadow(cut(), FakeModels({}), ShadowStyle())


def test_a_tight_cut_out_of_a_box_with_round_corners_is_taken_as_it_is() -> None:
    class NoMatting:
        def matte(self, rgb: Any) -> Any:
            raise AssertionError("it is cut out already")

    alpha = np.zeros((400, 300), np.uint8)
    cv2.rectangle(alpha, (30, 0), (269, 399), 255, -1)
    cv2.rectangle(alpha, (0, 30), (299, 369), 255, -1)
    for x, y in ((30, 30), (269, 30), (30, 369), (269, 369)):
        cv2.circle(alpha, (x, y), 30, 255, -1)
    leather = np.random.default_rng(0).normal((230, 120, 40), 12, (400, 300, 3))
    wallet = cut_out(Picture(leather.clip(0, 255).astype(np.uint8)), alpha)
    assert not has_cut_out(wallet)
    models = FakeModels({MATTING: NoMatting()})
    assert np.array_equal(
        product_cutout(wallet, models).rgb[alpha == 255], wallet.rgb[alpha == 255]
    )
    assert product_packshot(wallet, models).alpha is None
    assert product_shadow(wallet, models, ShadowStyle()).alpha is not None
    kept = background_colour(wallet, models, GREEN, True, False, has_product_cut_out)
    assert np.array_equal(kept.rgb[alpha == 255], wallet.rgb[alpha == 255])
    photograph = Picture(np.where(alpha[..., None] > 0, wallet.rgb, 0).astype(np.uint8), alpha)
    assert not has_product_cut_out(photograph)
