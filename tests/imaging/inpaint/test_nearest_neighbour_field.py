"""The nearest-neighbour field of a hole refers to similar patches."""

import cv2
import numpy as np

from imaging.inpaint.nearest_neighbour_field import nearest_neighbour_field
from tests.helpers.shapes import block


def test_the_field_finds_exact_copies() -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    coarse = cv2.GaussianBlur(noise, (5, 5), 0).astype(np.uint8)
    coarse[20:50, 10:40] = coarse[25:55, 70:100]
    hole = block(80, 120, 20, 10, 30)
    field = nearest_neighbour_field(coarse, ~hole, hole)
    inner = field[26:44, 16:34]
    assert (inner == (5, 60)).all(axis=-1).mean() > 0.95
