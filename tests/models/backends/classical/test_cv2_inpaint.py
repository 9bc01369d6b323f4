"""OpenCV's inpainting: only the hole changes, and it continues its surroundings."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging.picture import Mask, Rgb
from models.backends.classical.cv2_inpaint import Cv2Inpaint
from models.catalog.profile import load_profile
from models.errors import NothingToCopyError
from models.roles import INPAINTING
from models.runtime.pool import Pool


def gradient(height: int, width: int) -> Rgb:
    """Return a picture that is lighter to the right and redder to the bottom."""
    across = np.linspace(40, 200, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 50, height)[:, None].repeat(width, 1)
    return np.dstack([across + down, across, across]).astype(np.uint8)


def block(shape: tuple[int, int], top: int, left: int, side: int) -> Mask:
    hole = np.zeros(shape, np.bool_)
    hole[top : top + side, left : left + side] = True
    return hole


def test_only_the_hole_changes_and_the_surroundings_are_continued() -> None:
    rgb = gradient(300, 400)
    hole = block((300, 400), 100, 90, 40) | block((300, 400), 10, 300, 12)
    marked = np.where(hole[..., None], np.uint8(0), rgb)
    before = marked.copy()
    filled = Cv2Inpaint().fill(marked, hole)
    np.testing.assert_array_equal(filled[~hole], rgb[~hole])
    np.testing.assert_array_equal(marked, before)
    assert np.abs(filled[hole].astype(int) - rgb[hole]).max() <= 12


def test_filling_crops_equals_filling_the_whole_picture() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (500, 600, 3), dtype=np.uint8)
    hole = block((500, 600), 60, 80, 50) | block((500, 600), 400, 500, 30)
    whole = cv2.inpaint(rgb, hole.astype(np.uint8), 4, cv2.INPAINT_NS)
    np.testing.assert_array_equal(Cv2Inpaint().fill(rgb, hole), whole)


def test_pixels_to_avoid_are_not_copied() -> None:
    rgb = gradient(200, 200)
    hole, avoid = block((200, 200), 80, 80, 30), block((200, 200), 60, 110, 60)
    rgb[avoid] = (0, 255, 0)
    filled = Cv2Inpaint().fill(rgb, hole, avoid)
    np.testing.assert_array_equal(filled[~hole], rgb[~hole])
    greener = filled[hole][:, 1].astype(int) - filled[hole][:, 2]
    assert greener.max() <= 2


def test_a_hole_surrounded_by_pixels_to_avoid_is_filled_from_beyond_them() -> None:
    rgb = np.full((200, 200, 3), 90, np.uint8)
    hole, avoid = block((200, 200), 90, 90, 10), block((200, 200), 50, 50, 100)
    rgb[avoid] = 250
    assert np.abs(Cv2Inpaint().fill(rgb, hole, avoid)[hole].astype(int) - 90).max() <= 2


def test_without_a_hole_a_copy_is_returned_and_without_a_source_an_error_is_raised() -> None:
    rgb = gradient(20, 30)
    empty = np.zeros((20, 30), np.bool_)
    filled = Cv2Inpaint().fill(rgb, empty)
    assert filled is not rgb
    np.testing.assert_array_equal(filled, rgb)
    with pytest.raises(NothingToCopyError):
        Cv2Inpaint().fill(rgb, ~empty)


def test_a_users_profile_can_choose_it(tmp_path: Path) -> None:
    (tmp_path / "fast.toml").write_text('base = "lite"\ninpainting = "cv2-inpaint"\n')
    profile = load_profile(str(tmp_path / "fast.toml"))
    with Pool({INPAINTING: profile[INPAINTING]}, tmp_path).use(INPAINTING) as model:
        assert isinstance(model, Cv2Inpaint)
