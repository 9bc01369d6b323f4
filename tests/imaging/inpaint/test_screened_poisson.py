"""Levelling takes steps along the rim away and changes nothing outside."""

import numpy as np

from imaging.inpaint.screened_poisson import level
from tests.helpers.shapes import block


def test_levelling_removes_a_step_of_brightness_along_the_rim() -> None:
    flat = np.full((92, 92, 3), 120, np.uint8)
    hole = block(92, 92, 31, 31, 30)
    filled = flat.copy()
    filled[hole] = 132
    field = np.zeros((92, 92, 2), np.int32)
    field[hole] = (-30, -30)
    levelled = level(filled, field, ~hole, hole)
    np.testing.assert_array_equal(levelled[~hole], filled[~hole])
    assert np.abs(levelled[31, 31:61].astype(int) - 120).max() <= 4
