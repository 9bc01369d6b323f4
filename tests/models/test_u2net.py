"""U2Net: a matte at any size, soft only at edges, the same for the same picture."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from models.base import Alpha, Matting, Rgb
from models.pool import Pool
from models.u2net import refine
from pipelines.picture import Picture


@pytest.fixture(scope="module")
def matting(lite: Pool) -> Iterator[Matting]:
    with lite.matting() as model:
        yield model


def test_subject_is_opaque_and_background_is_clear(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    alpha = matting.matte(photo("astronaut").rgb)
    assert alpha[60:100, 200:240].min() == 1  # hair and forehead
    assert alpha[20:90, 310:400].max() == 0  # the wall beside the head


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 900), (900, 1), (2, 3), (33, 700), (319, 321), (513, 1025)]
)
def test_matte_of_any_size_is_float32_within_0_and_1(
    matting: Matting, shape: tuple[int, int]
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    alpha = matting.matte(rgb)
    assert alpha.shape == shape
    assert alpha.dtype == np.float32
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert (rgb == before).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_picture_has_no_subject(matting: Matting, level: int) -> None:
    assert matting.matte(np.full((400, 600, 3), level, np.uint8)).max() < 0.5


def test_parallel_calls_give_the_same_mattes_as_single_ones(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    pictures = [photo(name).rgb for name in ("astronaut", "coffee", "chelsea")]
    alone = [matting.matte(rgb) for rgb in pictures]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(matting.matte, pictures))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_small_subject_keeps_a_matte_as_good_as_a_large_one(
    matting: Matting, photo: Callable[[str], Picture]
) -> None:
    wall = photo("astronaut").rgb[10:60, 310:385]  # calm: nothing on it competes for attention
    rgb, alpha = _disc_on_photo(wall, radius=90)
    found = matting.matte(rgb)
    assert np.abs(found - alpha).mean() < 0.003
    assert _iou(found, alpha) > 0.97


def test_refined_edge_follows_the_picture_not_the_coarse_matte(
    photo: Callable[[str], Picture],
) -> None:
    rgb, alpha = _disc_on_photo(photo("coffee").rgb, radius=300)
    coarse = cv2.GaussianBlur(cv2.resize(alpha, (320, 320), interpolation=cv2.INTER_AREA), None, 2)
    enlarged = cv2.resize(coarse, alpha.shape[::-1])
    refined = refine(rgb, coarse)
    assert np.abs(refined - alpha).mean() < 0.2 * np.abs(enlarged - alpha).mean()
    far = cv2.distanceTransform((alpha == 0).astype(np.uint8), cv2.DIST_L2, 5) > 12
    assert refined[far].max() < 0.02
    assert refined[cv2.erode(alpha, np.ones((25, 25))) == 1].min() > 0.98


def test_refined_matte_has_no_seam_at_tile_borders() -> None:
    columns = np.linspace(0, 1, 1400, dtype=np.float32)
    rgb = np.repeat((255 * columns)[None, :, None], 900, 0).repeat(3, 2).astype(np.uint8)
    refined = refine(rgb, np.repeat(np.linspace(0, 1, 320, dtype=np.float32)[None], 320, 0))
    assert np.abs(np.diff(refined, axis=1)).max() < 0.05
    assert np.abs(np.diff(refined, axis=0)).max() < 0.05


def _disc_on_photo(photo: Rgb, radius: int) -> tuple[Rgb, Alpha]:
    background = cv2.resize(photo, (1500, 1000)).astype(np.float32)
    y, x = np.ogrid[:1000, :1500]
    alpha = np.clip((radius - np.hypot(x - 750, y - 500)) / 2 + 0.5, 0, 1).astype(np.float32)
    mixed = alpha[..., None] * np.float32((30, 60, 200)) + (1 - alpha[..., None]) * background
    return np.rint(mixed).astype(np.uint8), alpha


def _iou(a: Alpha, b: Alpha) -> float:
    return float(np.sum((a > 0.5) & (b > 0.5)) / np.sum((a > 0.5) | (b > 0.5)))
