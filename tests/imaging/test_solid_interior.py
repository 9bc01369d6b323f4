"""solid_interior and unsure_share: doubt inside a subject is not transparency."""

import cv2
import numpy as np
import pytest

from imaging.picture import Alpha
from imaging.solid_interior import solid_interior, unsure_share


def test_doubtful_interior_is_opaque_and_its_edge_stays_soft() -> None:
    coarse = _disc(0.6)
    solid = solid_interior(coarse)
    assert solid[160, 160] == 1
    edge = (coarse > 0) & (coarse < 0.5)
    assert np.array_equal(solid[edge], coarse[edge])


def test_doubt_below_a_half_and_thin_shapes_do_not_change() -> None:
    thin = np.zeros((320, 320), np.float32)
    thin[40:280, 50:300:20] = 0.8
    for coarse in (_disc(0.45), thin):
        assert np.array_equal(solid_interior(coarse), coarse)


def test_the_frame_counts_as_inside() -> None:
    coarse = np.zeros((320, 320), np.float32)
    coarse[200:, 100:220] = 0.7
    solid = solid_interior(coarse)
    assert (solid[212:, 112:208] == 1).all()
    assert (solid_interior(np.full((320, 320), 0.6, np.float32)) == 1).all()


def test_a_hole_inside_keeps_its_surroundings_soft() -> None:
    coarse = _disc(0.8)
    coarse[150:170, 150:170] = 0
    solid = solid_interior(coarse)
    assert solid[160, 160] == 0
    assert solid[160, 145] == coarse[160, 145]


@pytest.mark.parametrize(
    ("level", "unsure"), [(0.5, True), (0.8, True), (1.0, False), (0.0, False)]
)
def test_unsure_areas_count_and_soft_edges_do_not(level: float, unsure: bool) -> None:
    assert (unsure_share(_disc(level)) > 0.03) == unsure


def _disc(level: float) -> Alpha:
    disc = np.zeros((320, 320), np.float32)
    cv2.circle(disc, (160, 160), 60, 1.0, -1)
    return np.asarray(np.float32(level) * cv2.GaussianBlur(disc, (0, 0), 1.2), np.float32)
