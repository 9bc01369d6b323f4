"""Inpainting by PatchMatch: only the hole changes, the fill fits, and the result is deterministic."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Rgb
from models.backends.classical.patchmatch import PatchMatch
from models.errors import NothingToCopyError
from tests.helpers.shapes import block

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> PatchMatch:
    return PatchMatch()


def stripes(height: int, width: int) -> Rgb:
    """Return vertical stripes of 16 pixels, light and dark, with a little noise."""
    rng = np.random.default_rng(5)
    light = (np.arange(width) // 16) % 2
    base = np.where(light, 190, 70)[None, :, None] + rng.integers(-6, 7, (height, width, 1))
    return np.repeat(base, 3, axis=2).astype(np.uint8)


def shapes(height: int, width: int) -> dict[str, Mask]:
    none = np.zeros((height, width), np.bool_)
    line, corner, frame, dots = none.copy(), none.copy(), none.copy(), none.copy()
    line[:, width // 2] = True
    corner[: height // 2, : width // 2] = True
    frame[:] = True
    frame[height // 4 : -height // 4, width // 4 : -width // 4] = False
    dots[::37, ::41] = True
    far = block(height, width, 5, 5, 30) | block(height, width, height - 40, width - 40, 30)
    return {"line": line, "corner": corner, "frame": frame, "dots": dots, "far apart": far}


@pytest.mark.parametrize("shape", ["line", "corner", "frame", "dots", "far apart"])
@pytest.mark.parametrize("size", [(120, 150), (701, 1003)])
def test_only_the_hole_changes_and_the_input_is_not_modified(
    model: PatchMatch, shape: str, size: tuple[int, int]
) -> None:
    rgb = stripes(*size)
    hole = shapes(*size)[shape]
    marked = rgb.copy()
    marked[hole] = (255, 0, 255)
    before, hole_before = marked.copy(), hole.copy()
    filled = model.fill(marked, hole)
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[~hole], rgb[~hole])
    np.testing.assert_array_equal(marked, before)
    np.testing.assert_array_equal(hole, hole_before)
    # The surroundings are grey stripes, so no magenta may be left.
    spread = filled[hole].astype(int).max(axis=1) - filled[hole].astype(int).min(axis=1)
    assert spread.max() < 24


@pytest.mark.parametrize("size", [(256, 256), (900, 1100)])
def test_a_hole_in_stripes_is_filled_with_the_stripes(
    model: PatchMatch, size: tuple[int, int]
) -> None:
    rgb = stripes(*size)
    hole = block(*size, size[0] // 3, size[1] // 3, size[0] // 4)
    marked = np.where(hole[..., None], np.uint8(0), rgb)
    filled = model.fill(marked, hole)
    error = np.abs(filled[hole].astype(int) - rgb[hole].astype(int)).mean()
    assert error < 20  # a flat grey would have an error of 60


def test_fine_texture_survives_at_full_size(model: PatchMatch) -> None:
    rng = np.random.default_rng(1)
    rgb = cv2.GaussianBlur(rng.integers(0, 256, (1400, 1400, 3), dtype=np.uint8), (3, 3), 0)
    hole = block(1400, 1400, 400, 400, 500)
    filled = model.fill(rgb.astype(np.uint8), hole)
    inside, around = filled[450:850, 450:850], rgb[950:1350, 950:1350]
    detail = [cv2.Laplacian(part.astype(np.float32), cv2.CV_32F).std() for part in (inside, around)]
    assert detail[0] > 0.7 * detail[1]


def test_pixels_to_avoid_are_not_copied(model: PatchMatch) -> None:
    rgb = stripes(600, 800)
    avoid = block(600, 800, 150, 500, 250)
    rgb[avoid] = (250, 20, 20)
    hole = block(600, 800, 150, 100, 250)
    filled = model.fill(rgb, hole, avoid)
    red = filled[hole][:, 0].astype(int) - filled[hole][:, 1].astype(int)
    assert red.max() < 30


def test_an_empty_hole_returns_an_equal_copy(model: PatchMatch) -> None:
    rgb = stripes(20, 30)
    filled = model.fill(rgb, np.zeros((20, 30), np.bool_))
    assert filled is not rgb
    np.testing.assert_array_equal(filled, rgb)


@pytest.mark.parametrize("size", [(1, 1), (40, 60)])
def test_a_hole_without_a_source_pixel_raises(model: PatchMatch, size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), 128, np.uint8)
    hole = np.ones(size, np.bool_)
    with pytest.raises(NothingToCopyError):
        model.fill(rgb, hole)
    hole[0] = False
    if hole.any():
        with pytest.raises(NothingToCopyError):
            model.fill(rgb, hole, ~hole)


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (3, 3), (1, 200), (13, 17), (200, 5)])
def test_tiny_pictures_are_filled_from_their_own_colours(
    model: PatchMatch, size: tuple[int, int]
) -> None:
    rgb = np.full((*size, 3), (200, 150, 100), np.uint8)
    hole = np.zeros(size, np.bool_)
    hole.flat[::2] = True
    rgb[hole] = 0
    assert np.abs(model.fill(rgb, hole).astype(int) - (200, 150, 100)).max() <= 4


def test_one_source_pixel_in_a_large_picture_fills_everything(model: PatchMatch) -> None:
    rgb = np.zeros((700, 900, 3), np.uint8)
    rgb[300, 400] = (10, 200, 90)
    hole = np.ones((700, 900), np.bool_)
    hole[300, 400] = False
    assert (model.fill(rgb, hole) == (10, 200, 90)).all()


@pytest.mark.slow
def test_the_same_input_gives_the_same_output_during_other_calls(model: PatchMatch) -> None:
    inputs = [
        (stripes(300 + 40 * i, 520), block(300 + 40 * i, 520, 90, 120 + 20 * i, 110))
        for i in range(3)
    ]
    alone = [model.fill(*one) for one in inputs]
    with ThreadPoolExecutor(6) as threads:
        beside = list(threads.map(lambda one: model.fill(*one), inputs * 3))
    for index, filled in enumerate(beside):
        np.testing.assert_array_equal(filled, alone[index % 3])


@pytest.mark.parametrize("side", [4, 8, 12, 16, 30])
def test_a_small_source_leaves_no_black_in_a_large_hole(model: PatchMatch, side: int) -> None:
    rgb = np.zeros((1000, 1000, 3), np.uint8)
    rgb[:side, :side] = stripes(side, side) // 4 + 120
    hole = np.ones((1000, 1000), np.bool_)
    hole[:side, :side] = False
    assert model.fill(rgb, hole).min() > 90
