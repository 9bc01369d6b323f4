"""Colour correction removes steps at the edge of a hole and changes nothing outside."""

import numpy as np

from imaging.inpaint.screened_poisson import correct_colours
from tests.helpers.shapes import block


def test_a_step_of_brightness_at_the_edge_is_removed() -> None:
    flat = np.full((92, 92, 3), 120, np.uint8)
    hole = block(92, 92, 31, 31, 30)
    filled = flat.copy()
    filled[hole] = 132
    field = np.zeros((92, 92, 2), np.int32)
    field[hole] = (-30, -30)
    corrected = correct_colours(filled, field, ~hole, hole)
    np.testing.assert_array_equal(corrected[~hole], filled[~hole])
    assert np.abs(corrected[31, 31:61].astype(int) - 120).max() <= 4
