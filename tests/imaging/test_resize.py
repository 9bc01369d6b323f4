"""Sizes within limits, and resizing by averaging, interpolation and resampling."""

import cv2
import numpy as np
import pytest

from imaging.picture import Picture
from imaging.resize import (
    SizeRule,
    block_means,
    pad_to_blocks,
    resize,
    resize_labels,
    resize_picture,
    scaled,
    shrink,
    within_area,
    within_side,
    working_size,
)

SDXL = SizeRule(multiple=64, area=1024 * 1024, least=512)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (64, 64),
        (65, 64),
        (127, 300),
        (128, 129),
        (128, 192),
        (129, 64),
        (131, 67),
        (640, 640),
        (1000, 70),
        (643, 901),
        (2500, 3111),
    ],
)
def test_every_pixel_is_the_mean_of_the_area_it_covers(rows: int, columns: int) -> None:
    rgb = np.random.default_rng(6).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    before = rgb.copy()
    found = shrink(rgb, 64, 64)
    expected = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)
    apart = np.abs(found.astype(int) - expected)
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 1e-3
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_plain_picture_stays_plain(level: int) -> None:
    assert (shrink(np.full((977, 613, 3), level, np.uint8), 320, 320) == level).all()


def test_a_part_of_a_picture_is_reduced() -> None:
    rgb = np.random.default_rng(7).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    part = rgb[100:833, 50:777]
    assert np.array_equal(shrink(part, 320, 320), shrink(part.copy(), 320, 320))


@pytest.mark.parametrize("shape", [(1, 1), (10, 700), (700, 10), (40, 50)])
def test_enlarging_interpolates(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(8).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(shrink(rgb, 64, 64), expected)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 20_000), (20_000, 1), (640, 480), (1024, 1024), (8192, 8192), (37, 5000)]
)
def test_a_working_size_follows_the_rule_of_the_model(size: tuple[int, int]) -> None:
    width, height = working_size(*size, SDXL)
    assert width % 64 == height % 64 == 0
    assert min(width, height) >= SDXL.least
    assert width * height <= 1.2 * SDXL.area


def test_a_working_size_has_the_same_ratio() -> None:
    width, height = working_size(6000, 4000, SDXL)
    assert abs(width / height - 1.5) < 0.05
    assert abs(width * height / SDXL.area - 1) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (640, 480), (37, 5000)])
def test_a_size_within_limits_is_no_larger_and_has_the_same_ratio(size: tuple[int, int]) -> None:
    width, height = within_side(*size, 512)
    assert max(width, height) <= 512
    assert min(width, height) >= 1
    assert max(width, height) == min(512, max(size))
    width, height = within_area(*size, 10_000)
    assert 1 <= width * height <= 10_000
    if min(width, height) > 1:
        factor = min(1.0, (10_000 / (size[0] * size[1])) ** 0.5)
        assert 0 <= size[0] * factor - width < 1
        assert 0 <= size[1] * factor - height < 1


def test_a_large_picture_is_reduced_to_the_allowed_number_of_pixels() -> None:
    width, height = within_area(4000, 3000, 1_500_000)
    assert 0.99 * 1_500_000 < height * width <= 1_500_000
    assert width / height == pytest.approx(4 / 3, rel=0.01)


def test_a_size_within_the_limits_does_not_change() -> None:
    assert within_side(300, 512, 512) == (300, 512)
    assert within_area(100, 100, 10_000) == (100, 100)
    assert scaled(3, 1000, 0.1) == (1, 100)
    assert scaled(3, 5, 2.5) == (8, 12)  # half a pixel is rounded to the even number


def test_pixels_are_averaged_down_and_interpolated_up() -> None:
    rgb = np.random.default_rng(9).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    halves = rgb.reshape(30, 2, 40, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize(rgb, (40, 30)) - halves).max() <= 0.5
    for method in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4):
        expected = cv2.resize(rgb, (200, 150), interpolation=method)
        assert np.array_equal(resize(rgb, (200, 150), method), expected)
    assert np.array_equal(resize(rgb, (200, 150)), expected)


def test_the_pixel_type_does_not_change() -> None:
    grey = np.random.default_rng(9).random((60, 80), np.float32)
    small = resize(grey, (40, 30))
    assert small.dtype == np.float32
    assert np.abs(small - grey.reshape(30, 2, 40, 2).mean(axis=(1, 3))).max() < 1e-6
    part = (grey * 255).astype(np.uint8)[::2, 10:50]
    assert resize(part, (20, 15)).dtype == np.uint8
    assert np.array_equal(resize(part, (20, 15)), resize(part.copy(), (20, 15)))
    same = resize(part, (40, 30))
    assert np.array_equal(same, part)
    assert same.flags.c_contiguous


def test_values_of_label_maps_are_not_mixed() -> None:
    labels = np.array([[1, 9], [200, 4]], np.uint8)
    large = resize_labels(labels, (6, 4))
    assert np.array_equal(large, np.kron(labels, np.ones((2, 3), np.uint8)))
    assert np.array_equal(resize_labels(large, (2, 2)), labels)


def test_blocks_are_averaged_and_incomplete_ones_repeat_the_last_pixel() -> None:
    grey = np.array([[10, 20, 30], [30, 40, 60]], np.uint8)
    assert block_means(grey, (2, 2)).tolist() == [[25, 45]]
    assert block_means(grey, (1, 3)).tolist() == [[20], [43]]
    assert block_means(grey, (1, 1)).tolist() == grey.tolist()
    deep = grey.astype(np.uint16) * 1000
    assert block_means(deep, (2, 2)).tolist() == [[25_000, 45_000]]
    assert pad_to_blocks(grey, (2, 2)).tolist() == [[10, 20, 30, 30], [30, 40, 60, 60]]
    assert pad_to_blocks(grey, (1, 3)) is grey


@pytest.mark.parametrize("size", [(45, 45), (130, 140)])
def test_hidden_colours_do_not_mix_into_a_resampled_picture(
    size: tuple[int, int],
) -> None:
    rgb = np.full((90, 90, 3), 255, np.uint8)
    rgb[30:60, 30:60] = (200, 40, 10)
    alpha = np.zeros((90, 90), np.uint8)
    alpha[30:60, 30:60] = 255
    found = resize_picture(Picture(rgb, alpha), size)
    assert found.alpha is not None
    seen = (found.rgb.astype(int) - (200, 40, 10)) * (found.alpha[..., None] / 255)
    assert np.abs(seen).max() <= 1
    hidden = rgb.copy()
    hidden[alpha == 0] = (0, 9, 90)
    one, other = (resize_picture(Picture(p, alpha), size, in_bytes=True) for p in (rgb, hidden))
    assert np.array_equal(one.rgb, other.rgb)
    assert one.alpha is not None
    assert other.alpha is not None
    assert np.array_equal(one.alpha, other.alpha)
    # Colours may overshoot where alpha is already at its limit.
    seen = (one.rgb.astype(int) - (200, 40, 10)) * (one.alpha[..., None] / 255)
    assert np.abs(seen).mean() <= 0.5


@pytest.mark.parametrize("alpha", [False, True])
def test_a_part_equals_that_of_the_resampled_whole(
    monkeypatch: pytest.MonkeyPatch, alpha: bool
) -> None:
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 256, (40, 60), np.uint8) if alpha else None
    picture = Picture(rng.integers(0, 256, (40, 60, 3), np.uint8), levels)
    part = np.s_[10:50, 20:70]
    whole, found = resize_picture(picture, (90, 60)), resize_picture(picture, (90, 60), part)
    assert np.array_equal(found.rgb, whole.rgb[part])
    if alpha:
        assert found.alpha is not None
        assert whole.alpha is not None
        assert np.array_equal(found.alpha, whole.alpha[part])
    same = resize_picture(picture, (60, 40), part)
    assert np.array_equal(same.rgb, picture.rgb[part])
    assert resize_picture(picture, (60, 40)) is picture
    # Only this part of a huge picture is made; it differs only at its borders.
    monkeypatch.setattr("imaging.resize._MAX_WHOLE_PIXELS", 90 * 60 - 1)
    alone = resize_picture(Picture(picture.rgb), (90, 60), part).rgb
    whole = resize_picture(Picture(picture.rgb), (90, 60))
    assert alone.shape == (40, 50, 3)
    assert np.abs(alone[6:-6, 6:-6].astype(int) - whole.rgb[part][6:-6, 6:-6]).max() <= 1
