"""Working sizes, crops and seams."""

import numpy as np
import pytest

from imaging.resize import SizeRule, working_size
from pipelines.common.canvas import around, blend, cut, paste, seam

SDXL = SizeRule(multiple=64, area=1024 * 1024, least=512)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 20_000), (20_000, 1), (640, 480), (1024, 1024), (8192, 8192), (37, 5000)]
)
def test_a_working_size_keeps_the_models_rule(size: tuple[int, int]) -> None:
    width, height = working_size(*size, SDXL)
    assert width % 64 == height % 64 == 0
    assert min(width, height) >= SDXL.least
    assert width * height <= 1.2 * SDXL.area


def test_a_working_size_keeps_the_ratio() -> None:
    width, height = working_size(6000, 4000, SDXL)
    assert abs(width / height - 1.5) < 0.05
    assert abs(width * height / SDXL.area - 1) < 0.1


def test_the_crop_holds_the_hole_and_what_surrounds_it() -> None:
    hole = np.zeros((3000, 4000), bool)
    hole[1000:1200, 2000:2300] = True
    rows, columns = around(hole)
    assert rows.start <= 900
    assert rows.stop >= 1300
    assert columns.start <= 1850
    assert columns.stop >= 2450
    assert hole[rows, columns].mean() > 0.1


def test_a_crop_never_leaves_the_picture() -> None:
    hole = np.zeros((100, 300), bool)
    hole[0, 0] = hole[99, 299] = True
    assert around(hole) == (slice(0, 100), slice(0, 300))


def test_outside_the_hole_every_pixel_stays() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (700, 900, 3), np.uint8)
    hole = np.zeros((700, 900), bool)
    hole[200:300, 400:600] = True
    hole[650, 880] = True
    work = cut(rgb, hole, SDXL)
    made = np.full_like(work.rgb, 90)
    result = paste(rgb, hole, work.box, made)
    assert np.array_equal(result[~hole], rgb[~hole])
    assert (result[230:270, 430:570] == 90).all()


def test_the_scaled_hole_covers_the_true_one() -> None:
    hole = np.zeros((4000, 4000), bool)
    hole[1001, 1501] = True
    hole[3000, 3000] = True
    work = cut(np.zeros((4000, 4000, 3), np.uint8), hole, SDXL)
    assert work.hole.any()


def test_a_seam_lies_inside_the_hole_and_not_at_the_pictures_border() -> None:
    hole = np.zeros((200, 200), bool)
    hole[100:] = True
    weight = seam(hole)
    assert (weight[:100] == 0).all()
    assert (weight[105:] == 255).all()
    assert 0 < weight[100, 50] < 255


def test_blending_keeps_both_ends_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    old, new = rng.integers(0, 256, (2, 40, 50, 3), np.uint8)
    assert np.array_equal(blend(old, new, np.zeros((40, 50), np.uint8)), old)
    assert np.array_equal(blend(old, new, np.full((40, 50), 255, np.uint8)), new)
