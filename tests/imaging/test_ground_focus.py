"""Ground focus: sharp where a subject stands, linearly less so behind, before and beside it."""

import numpy as np
import pytest

from imaging.ground_focus import ground_defocus
from imaging.picture import Alpha8


def figure(height: int = 400, width: int = 600, *boxes: tuple[slice, slice]) -> Alpha8:
    alpha = np.zeros((height, width), np.uint8)
    for box in boxes:
        alpha[box] = 255
    return alpha


STANDING = (slice(100, 300), slice(260, 340))


@pytest.mark.parametrize("factor", [1, 4])
def test_defocus_grows_linearly_from_the_foot_in_both_directions(factor: int) -> None:
    alpha = np.kron(figure(400, 600, STANDING), np.ones((factor, factor), np.uint8))
    found = ground_defocus(alpha)
    assert found is not None
    assert found.shape == alpha.shape
    column = found[::factor, 300 * factor].astype(int)
    foot = 299
    assert column[foot] == 0
    for distance in (15, 30, 45):
        expected = 255 * (distance / 60 - 0.1) / 0.9
        assert column[foot - distance] == pytest.approx(expected, abs=9)
        assert column[foot + distance] == pytest.approx(expected, abs=9)
    assert (column[: foot - 64] == 255).all()
    assert (column[foot + 64 :] == 255).all()


def test_focus_reaches_sideways_and_ends() -> None:
    found = ground_defocus(figure(400, 1200, (slice(100, 300), slice(100, 180))))
    assert found is not None
    row = found[299].astype(int)
    assert row[140] == 0
    assert 60 < row[180 + 90] < 200
    assert row[180 + 200] == 255
    assert (np.diff(row[180:]) >= 0).all()


def test_two_wheels_of_different_rows_stand_on_one_line() -> None:
    bike = figure(400, 600, (slice(150, 280), slice(150, 200)), (slice(150, 300), slice(400, 450)))
    bike[150:200, 150:450] = 255
    found = ground_defocus(bike)
    assert found is not None
    assert found[279, 175] == 0
    assert found[299, 425] == 0
    assert found[290, 300] == 0


def test_a_raised_leg_does_not_lift_the_ground() -> None:
    kick = figure(400, 600, STANDING, (slice(150, 180), slice(340, 440)))
    found = ground_defocus(kick)
    assert found is not None
    assert found[299, 300] == 0
    assert found[182, 400] == 255


def test_each_of_several_subjects_has_its_own_ground() -> None:
    near, far = (slice(100, 340), slice(60, 140)), (slice(100, 220), slice(440, 500))
    found = ground_defocus(figure(400, 600, near, far))
    assert found is not None
    assert found[339, 100] == 0
    assert found[219, 470] == 0
    assert found[339, 470] == 255


@pytest.mark.parametrize(
    "boxes",
    [
        (),
        [(slice(100, 400), slice(200, 400))],
        [(slice(100, 399), slice(200, 400))],
        # A torso that the matte cut off from the legs, which leave the picture.
        [(slice(100, 250), slice(200, 400)), (slice(280, 400), slice(200, 400))],
    ],
)
def test_what_does_not_end_in_the_picture_stands_nowhere(boxes: list[tuple[slice, slice]]) -> None:
    assert ground_defocus(figure(400, 600, *boxes)) is None


def test_specks_and_faint_pixels_stand_nowhere() -> None:
    alpha = figure(400, 600, (slice(100, 400), slice(200, 400)))
    alpha[200:210, 500:510] = 255
    alpha[100:300, 30:130] = 90
    assert ground_defocus(alpha) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 2)])
def test_any_size_is_accepted(shape: tuple[int, int]) -> None:
    for level in (0, 255):
        assert ground_defocus(np.full(shape, level, np.uint8)) is None
