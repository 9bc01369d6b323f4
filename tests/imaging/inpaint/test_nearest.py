"""fill_from_nearest: the nearest known value, for the requested pixels within reach."""

import numpy as np
import pytest

from imaging.inpaint.nearest import fill_from_nearest

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_each_unknown_pixel_gets_the_nearest_known_value(channels: tuple[int, ...]) -> None:
    values = RNG.integers(0, 256, (30, 40, *channels), np.uint8)
    known = RNG.random((30, 40)) < 0.02
    before = values.copy()
    filled = fill_from_nearest(values, known)
    assert np.array_equal(values, before)
    assert np.array_equal(filled[known], values[known])
    places = np.argwhere(known)
    for y, x in np.argwhere(~known):
        away = np.hypot(*(places - (y, x)).T)
        near = places[away <= 1.03 * away.min()]
        assert any(np.array_equal(filled[y, x], values[tuple(one)]) for one in near)


def test_only_requested_pixels_are_filled() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(1, 12)
    known = values == 4
    where = (values == 6) | (values == 9)
    filled = fill_from_nearest(values, known, where)
    assert filled.tolist() == [[0, 1, 2, 3, 4, 5, 4, 7, 8, 4, 10, 11]]


def test_pixels_out_of_reach_do_not_change() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(1, 12)
    filled = fill_from_nearest(values, values == 4, reach=2)
    assert filled.tolist() == [[0, 1, 4, 4, 4, 4, 4, 7, 8, 9, 10, 11]]
