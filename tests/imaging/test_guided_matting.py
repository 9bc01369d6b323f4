"""refine: edges follow the picture, certain parts do not change, and tiles have no seam."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.guided_matting import refine
from imaging.picture import Alpha, Picture, Rgb
from models.backends.onnx.u2net import U2Net
from models.roles import MATTING
from models.runtime.pool import Pool
from tests.imaging import plain_guided_matting


def test_refined_edge_follows_the_picture_not_the_coarse_matte(
    photo: Callable[[str], Picture],
) -> None:
    rgb, alpha = _disc_on_photo(photo("coffee").rgb, radius=300)
    coarse = cv2.GaussianBlur(cv2.resize(alpha, (320, 320), interpolation=cv2.INTER_AREA), None, 2)
    enlarged = cv2.resize(coarse, alpha.shape[::-1])
    refined = refine(rgb, coarse) / np.float32(255)
    assert np.abs(refined - alpha).mean() < 0.2 * np.abs(enlarged - alpha).mean()
    far = cv2.distanceTransform((alpha == 0).astype(np.uint8), cv2.DIST_L2, 5) > 12
    assert refined[far].max() < 0.02
    assert refined[cv2.erode(alpha, np.ones((25, 25))) == 1].min() > 0.98


def test_refined_matte_has_no_seam_at_tile_borders() -> None:
    columns = np.linspace(0, 1, 1400, dtype=np.float32)
    rgb = np.repeat((255 * columns)[None, :, None], 900, 0).repeat(3, 2).astype(np.uint8)
    coarse = np.repeat(np.linspace(0, 1, 320, dtype=np.float32)[None], 320, 0)
    refined = refine(rgb, coarse) / np.float32(255)
    assert np.abs(np.diff(refined, axis=1)).max() < 0.05
    assert np.abs(np.diff(refined, axis=0)).max() < 0.05


@pytest.mark.parametrize("value", [0, 1])
def test_certain_matte_does_not_change_for_any_picture(
    photo: Callable[[str], Picture], value: float
) -> None:
    refined = refine(photo("coffee").rgb, np.full((320, 320), value, np.float32))
    assert (refined == 255 * value).all()


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("width", [601, 1700, 2500])
def test_alpha_equals_that_of_the_simple_implementation(
    photo: Callable[[str], Picture], lite: Pool, name: str, width: int
) -> None:
    rgb = photo(name).rgb
    size = width, rgb.shape[0] * width // rgb.shape[1]
    rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    with lite.use(MATTING) as model:
        assert isinstance(model, U2Net)
        coarse = model._coarse(rgb)
    apart = np.abs(refine(rgb, coarse) / 255 - plain_guided_matting.refine(rgb, coarse))
    assert apart.mean() <= 0.2 / 255
    assert (apart > 8 / 255).mean() < 1e-3


@pytest.mark.parametrize("eps_in_grey", [0, 3])
def test_colours_on_a_line_cause_no_error(eps_in_grey: int) -> None:
    rng = np.random.default_rng(4)
    grey = rng.integers(20, 230, (500, 700, 1), dtype=np.uint8).repeat(3, 2)
    grey = cv2.GaussianBlur(grey, (9, 9), 0) + rng.integers(
        0, eps_in_grey + 1, grey.shape, np.uint8
    )
    y, x = np.ogrid[:320, :320]
    coarse = np.clip((100 - np.hypot(x - 160, y - 160)) / 20 + 0.5, 0, 1).astype(np.float32)
    apart = np.abs(refine(grey, coarse) / 255 - plain_guided_matting.refine(grey, coarse))
    assert apart.mean() <= 0.2 / 255


def _disc_on_photo(photo: Rgb, radius: int) -> tuple[Rgb, Alpha]:
    background = cv2.resize(photo, (1500, 1000)).astype(np.float32)
    y, x = np.ogrid[:1000, :1500]
    alpha = np.clip((radius - np.hypot(x - 750, y - 500)) / 2 + 0.5, 0, 1).astype(np.float32)
    mixed = alpha[..., None] * np.float32((30, 60, 200)) + (1 - alpha[..., None]) * background
    return np.rint(mixed).astype(np.uint8), alpha
