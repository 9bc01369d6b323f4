"""The eraser: the hole is filled, no other pixel changes."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from imaging.errors import MaskRatioError
from imaging.masks import grow
from imaging.picture import Picture
from models.errors import NothingToCopyError
from models.runtime.pool import Pool
from pipelines.eraser import eraser


def disc(picture: Picture, radius: int = 40) -> np.ndarray:
    mask = np.zeros((picture.height, picture.width), np.uint8)
    cv2.circle(mask, (picture.width // 2, picture.height // 2), radius, 255, -1)
    return mask


@pytest.mark.parametrize("kind", ["manual", "automatic"])
def test_no_pixel_outside_the_mask_changes(
    lite: Pool, photo: Callable[[str], Picture], kind: str
) -> None:
    picture = photo("coffee")
    mask = disc(picture)
    edited = grow(mask > 127, "automatic") if kind == "automatic" else mask > 127
    result = eraser(picture, mask, lite, kind)
    np.testing.assert_array_equal(result.rgb[~edited], picture.rgb[~edited])
    assert (result.rgb[edited] != picture.rgb[edited]).any(axis=-1).mean() > 0.5


def test_an_object_is_replaced_by_its_surroundings(lite: Pool) -> None:
    rgb = np.full((240, 320, 3), (60, 120, 60), np.uint8)
    rgb += np.random.default_rng(0).integers(0, 20, rgb.shape, dtype=np.uint8)
    cv2.circle(rgb, (160, 120), 30, (255, 0, 0), -1)
    result = eraser(Picture(rgb), disc(Picture(rgb), 34), lite)
    assert result.rgb[..., 0].max() < 100


def test_an_automatic_mask_also_erases_the_rim_of_the_object(lite: Pool) -> None:
    rgb = np.full((500, 700, 3), 90, np.uint8)
    cv2.circle(rgb, (350, 250), 62, (250, 30, 30), -1)
    tight = disc(Picture(rgb), 60)
    assert eraser(Picture(rgb), tight, lite, "automatic").rgb[..., 0].max() < 120


def test_alpha_does_not_change_and_hidden_pixels_are_not_copied(lite: Pool) -> None:
    rgb = np.full((200, 300, 3), 100, np.uint8)
    alpha = np.full((200, 300), 255, np.uint8)
    alpha[:, 200:] = 0
    alpha[:20] = 77
    rgb[:, 200:] = (255, 0, 255)
    mask = np.zeros((200, 300), np.uint8)
    mask[60:140, 100:200] = 255
    result = eraser(Picture(rgb, alpha), mask, lite)
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, alpha)
    assert (np.abs(result.rgb[mask > 0].astype(int) - 100) <= 2).all()


def test_a_black_mask_changes_nothing(lite: Pool, photo: Callable[[str], Picture]) -> None:
    picture = photo("chelsea")
    result = eraser(picture, np.zeros((picture.height, picture.width), np.uint8), lite)
    np.testing.assert_array_equal(result.rgb, picture.rgb)


def test_a_white_mask_is_an_error(lite: Pool) -> None:
    with pytest.raises(NothingToCopyError):
        eraser(Picture(np.zeros((50, 50, 3), np.uint8)), np.full((50, 50), 255, np.uint8), lite)


def test_a_mask_of_another_ratio_is_refused(lite: Pool) -> None:
    with pytest.raises(MaskRatioError):
        eraser(Picture(np.zeros((50, 50, 3), np.uint8)), np.zeros((50, 80), np.uint8), lite)
