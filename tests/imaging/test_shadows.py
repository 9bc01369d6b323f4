"""Shadows: each parameter has its effect, steadily; the foot is darkest; the work is bounded."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imaging.picture import Alpha8
from imaging.shadows import Shadow, ShadowShape, blurred, cast_shadow

FLOAT = ShadowShape(blur=20, is_floating=True)


def bottle(height: int = 300, width: int = 200) -> Alpha8:
    alpha = np.zeros((height, width), np.uint8)
    alpha[height // 6 : height * 5 // 6, width // 3 : width * 2 // 3] = 255
    return alpha


def shadow(shape: ShadowShape, alpha: Alpha8 | None = None) -> Shadow:
    made = cast_shadow(bottle() if alpha is None else alpha, shape)
    assert made is not None
    return made


def centre(made: Shadow) -> tuple[float, float]:
    """Return the centre of a shadow in pixels of the picture: x, y."""
    y, x = np.mgrid[: made.density.shape[0], : made.density.shape[1]]
    total = made.density.sum()
    grid = made.grid
    return (
        float((made.density * x).sum() / total - grid.left) * grid.step,
        float((made.density * y).sum() / total - grid.top) * grid.step,
    )


def spread(made: Shadow) -> float:
    """Return the standard deviation of a shadow from its centre, in pixels."""
    y, x = np.mgrid[: made.density.shape[0], : made.density.shape[1]]
    centre_x, centre_y = centre(made)
    grid = made.grid
    apart = (x - grid.left - centre_x / grid.step) ** 2 + (y - grid.top - centre_y / grid.step) ** 2
    return float(np.sqrt((made.density * apart).sum() / made.density.sum())) * grid.step


@pytest.mark.parametrize("base", [ShadowShape(), FLOAT])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_offset_moves_the_shadow(base: ShadowShape, axis: int) -> None:
    places = []
    for value in (-60, -15, 0, 15, 60, 200):
        offset = (value, 0) if axis == 0 else (0, value)
        places.append(centre(shadow(replace(base, offset=offset)))[axis])
    assert places == sorted(places)
    assert np.diff(places).min() > 3


@pytest.mark.parametrize("base", [ShadowShape(), FLOAT])
def test_a_blur_spreads_the_shadow(base: ShadowShape) -> None:
    widths = [spread(shadow(replace(base, blur=blur))) for blur in (0, 15, 40, 120, 500)]
    assert widths == sorted(widths)
    assert np.diff(widths).min() > 0.3


@pytest.mark.parametrize("field", ["width", "height"])
def test_the_ellipse_has_the_asked_size(field: str) -> None:
    for side in (20, 70, 300):
        sides: dict[str, Any] = {"width": 100, "height": 50, field: side}
        made = shadow(ShadowShape(blur=0, is_floating=True, **sides))
        rows, columns = np.nonzero(made.density)
        assert abs(np.ptp(columns) + 1 - sides["width"]) <= 2
        assert abs(np.ptp(rows) + 1 - sides["height"]) <= 2


def test_an_ellipse_without_height_draws_nothing() -> None:
    assert not shadow(replace(FLOAT, height=0)).density.any()


def test_without_a_width_the_ellipse_is_narrower_than_the_thing() -> None:
    made = shadow(replace(FLOAT, blur=0))
    columns = np.flatnonzero(made.density.any(axis=0))
    assert abs(np.ptp(columns) + 1 - 0.8 * np.ptp(np.flatnonzero(bottle().any(axis=0)))) <= 3


def test_a_floating_thing_is_apart_from_its_shadow() -> None:
    made = shadow(replace(FLOAT, blur=0, offset=(0, 0)))
    foot = int(np.flatnonzero(bottle().any(axis=1))[-1])
    assert np.flatnonzero(made.density.any(axis=1))[0] - made.grid.top > foot + 5


def test_the_shadow_is_darkest_at_the_foot_and_fades() -> None:
    made = shadow(ShadowShape())
    foot = int(np.flatnonzero(bottle().any(axis=1))[-1])
    below = made.density[made.grid.top + foot + 2 :, made.grid.left + 100]
    assert below[0] > 0.4
    assert (np.diff(below) <= 1e-4).all(), "it only becomes lighter away from the foot"
    assert below[0] > 1.5 * below[12]


def test_it_is_lighter_between_the_legs_than_at_them() -> None:
    table = np.zeros((300, 300), np.uint8)
    table[60:90, 50:250] = 255
    table[60:240, 50:60] = table[60:240, 240:250] = 255
    made = shadow(ShadowShape(), table)
    row = made.density[made.grid.top + 242]
    at_leg, between = row[made.grid.left + 55], row[made.grid.left + 150]
    assert at_leg > 2 * between > 0.02
    air = made.density[made.grid.top + 100 : made.grid.top + 200, made.grid.left + 150]
    assert air.max() < 0.02, "none hangs in the air below the table top"


def test_density_is_a_share_and_a_repeat_is_equal() -> None:
    for shape in (ShadowShape((50, -50), 40), FLOAT):
        made = shadow(shape)
        assert made.density.min() >= 0
        assert made.density.max() <= 1
        assert made.density.dtype == np.float32
        assert np.array_equal(made.density, shadow(shape).density)


def test_a_thing_that_is_nowhere_opaque_casts_a_shadow() -> None:
    made = shadow(ShadowShape(), (bottle() // 3).astype(np.uint8))
    assert np.allclose(made.density, shadow(ShadowShape()).density, atol=0.02)


def test_nothing_casts_no_shadow() -> None:
    assert cast_shadow(np.zeros((40, 40), np.uint8), ShadowShape()) is None


def test_the_grid_is_bounded_whatever_the_picture_and_the_shape() -> None:
    wide = np.zeros((40, 30_000), np.uint8)
    wide[10:30, 1000:29_000] = 255
    for shape in (ShadowShape((1000, 1000), 500), replace(FLOAT, width=5000, height=5000)):
        assert max(shadow(shape, wide).density.shape) <= 1540
        assert max(shadow(shape).density.shape) <= 1540


def test_a_large_blur_at_a_reduced_size_equals_the_plain_one() -> None:
    field = np.zeros((300, 280), np.float32)
    field[120:180, 100:160] = 1
    plain = blurred(field, 7.9)
    again = blurred(field, 8.1)
    assert np.abs(plain - again).max() < 0.03
    assert abs(again.sum() / plain.sum() - 1) < 0.01
