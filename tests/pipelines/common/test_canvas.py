"""The input of a model that works at its own size, and the result pasted back."""

import numpy as np

from imaging.compositing import paste
from imaging.resize import SizeRule
from pipelines.common.canvas import prepare_input

SDXL = SizeRule(multiple=64, area=1024 * 1024, least=512)


def test_pixels_outside_the_hole_do_not_change() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (700, 900, 3), np.uint8)
    hole = np.zeros((700, 900), bool)
    hole[200:300, 400:600] = True
    hole[650, 880] = True
    work = prepare_input(rgb, hole, SDXL)
    made = np.full_like(work.rgb, 90)
    result = paste(rgb, hole, work.window, made)
    assert np.array_equal(result[~hole], rgb[~hole])
    assert (result[230:270, 430:570] == 90).all()


def test_the_scaled_hole_covers_the_hole() -> None:
    hole = np.zeros((4000, 4000), bool)
    hole[1001, 1501] = True
    hole[3000, 3000] = True
    work = prepare_input(np.zeros((4000, 4000, 3), np.uint8), hole, SDXL)
    assert work.hole.any()
