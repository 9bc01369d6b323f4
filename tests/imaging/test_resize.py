"""shrink: what OpenCV's own averaging gives, whatever the size."""

import cv2
import numpy as np
import pytest

from imaging.resize import shrink


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
def test_every_pixel_is_the_mean_of_what_it_covers(rows: int, columns: int) -> None:
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


def test_a_part_of_a_picture_is_taken() -> None:
    rgb = np.random.default_rng(7).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    part = rgb[100:833, 50:777]
    assert np.array_equal(shrink(part, 320, 320), shrink(part.copy(), 320, 320))


@pytest.mark.parametrize("shape", [(1, 1), (10, 700), (700, 10), (40, 50)])
def test_what_is_smaller_is_interpolated(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(8).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(shrink(rgb, 64, 64), expected)
