"""all_masks: which masks there are, what is said of them, and that they fit their files."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Labels, Matte, Picture, Rgb
from models.roles import MATTING, SEGMENTATION
from models.runtime.pool import Pool
from pipelines.all_masks import ObjectMask, all_masks
from tests.helpers.fake_models import EllipseMatting, FakeModels

Pixels = NDArray[np.uint8]
ELLIPSE = EllipseMatting().matte(np.zeros((200, 300, 3), np.uint8)) > 0


class NoMatting:
    """Finds no subject."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return 0 everywhere."""
        return np.zeros(rgb.shape[:2], np.uint8)


class SoftMatting(EllipseMatting):
    """Finds an ellipse with soft edges."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return the blurred ellipse."""
        return np.asarray(cv2.GaussianBlur(super().matte(rgb), (0, 0), 12), np.uint8)


class Chessboard:
    """Divides a picture into as many parts as a map can hold."""

    def segment(self, rgb: Rgb) -> Labels:
        """Return 1 to 255 in rows of 16; the last square belongs to the one before."""
        rows, columns = (np.arange(side) * 16 // side for side in rgb.shape[:2])
        numbers: Labels = np.minimum(rows[:, None] * 16 + columns + 1, 255).astype(np.uint8)
        return numbers


@pytest.fixture
def picture() -> Picture:
    """A light ellipse on a dark ground, in which each band of the fake segmentation has its own colour."""
    bands = FakeModels.fakes[SEGMENTATION]().segment(np.zeros((200, 300, 3), np.uint8))
    rgb = np.where(ELLIPSE[..., None], 200, 20 * bands[..., None]).astype(np.uint8)
    return Picture(rgb.repeat(3, axis=2))


def pixels(mask: ObjectMask) -> Pixels:
    image = Image.open(io.BytesIO(mask.png))
    assert image.format == "PNG"
    assert image.mode == "L"
    return np.asarray(image)


def check(masks: list[ObjectMask], picture: Picture) -> list[NDArray[np.bool_]]:
    """Check what holds for all masks of any picture; return their pixels."""
    assert [mask.id for mask in masks] == list(range(1, len(masks) + 1))
    confidences = [mask.confidence for mask in masks]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= confidence <= 1 for confidence in confidences)
    decoded = [pixels(mask) for mask in masks]
    for mask, image in zip(masks, decoded, strict=True):
        assert image.shape == (picture.height, picture.width)
        assert set(np.unique(image)) <= {0, 255}
        assert np.count_nonzero(image == 255) == mask.area > 0
    return [image > 0 for image in decoded]


def test_the_subject_its_parts_what_is_behind_it_and_its_parts_are_masks(picture: Picture) -> None:
    found = check(all_masks(picture, FakeModels()), picture)
    bands = FakeModels.fakes[SEGMENTATION]().segment(picture.rgb)
    wanted = [ELLIPSE, ~ELLIPSE]
    wanted += [(bands == band) & side for band in (1, 2, 3) for side in (ELLIPSE, ~ELLIPSE)]
    for mask in wanted:
        if mask.any():
            assert max((mask & other).sum() / (mask | other).sum() for other in found) > 0.95


def test_masks_nest_and_none_is_there_twice(picture: Picture) -> None:
    found = check(all_masks(picture, FakeModels()), picture)
    pairs = [(a, b) for i, a in enumerate(found) for b in found[i + 1 :]]
    assert any((a & b).sum() == min(a.sum(), b.sum()) for a, b in pairs)
    assert max((a & b).sum() / (a | b).sum() for a, b in pairs) < 0.92


def test_a_softer_matte_is_less_sure(picture: Picture) -> None:
    def confidence(matting: EllipseMatting) -> float:
        masks = all_masks(picture, FakeModels({MATTING: matting}))
        subject = max(
            masks, key=lambda mask: float((pixels(mask) > 0)[ELLIPSE].mean() - mask.area / 6e4)
        )
        return subject.confidence

    assert confidence(EllipseMatting()) == 1
    assert 0.5 < confidence(SoftMatting()) < 0.9


def test_a_part_that_stands_out_is_surer(picture: Picture) -> None:
    rgb = picture.rgb.copy()
    rgb[:80] = 60  # the first band
    rgb[80:160] = 64
    rgb[160:] = 250
    plain = Picture(rgb)
    masks = all_masks(plain, FakeModels({MATTING: NoMatting()}))
    check(masks, plain)
    found = {np.flatnonzero(pixels(mask).any(axis=1))[0]: mask.confidence for mask in masks}
    assert found[160] > found[80] > found[0]


def test_transparent_pixels_belong_to_no_mask(picture: Picture) -> None:
    alpha = np.full((200, 300), 255, np.uint8)
    alpha[:, :60] = 0
    cut = Picture(picture.rgb, alpha)
    masks = all_masks(cut, FakeModels())
    assert masks
    assert not any(mask[:, :60].any() for mask in check(masks, cut))


def test_a_picture_that_is_all_transparent_has_no_masks(picture: Picture) -> None:
    assert all_masks(Picture(picture.rgb, np.zeros((200, 300), np.uint8)), FakeModels()) == []


def test_there_are_at_most_255(picture: Picture) -> None:
    models = FakeModels({SEGMENTATION: Chessboard()})
    found = check(all_masks(picture, models), picture)
    assert 200 < len(found) <= 255
    assert any(np.array_equal(mask, ELLIPSE) for mask in found)


def test_a_photograph_has_its_things_and_their_parts(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    coffee = photo("coffee")
    masks = all_masks(coffee, lite)
    first, *rest = check(masks, coffee)
    height, width = first.shape
    assert first[height // 2, width // 2]
    assert 0.1 < first.mean() < 0.6
    inside = [mask for mask in rest if (mask & first).sum() > 0.95 * mask.sum()]
    assert len(inside) >= 3
    assert len({mask.confidence for mask in masks}) > len(masks) / 2
    again = all_masks(coffee, lite)
    assert [mask.png for mask in again] == [mask.png for mask in masks]
