"""How clearly an outline stands out: by the step of colour across it."""

import numpy as np
import pytest

from imaging.edge_contrast import colour_steps, contrast, outline
from imaging.picture import Mask, Rgb


def disc(side: int = 80) -> Mask:
    y, x = np.ogrid[:side, :side]
    inside: Mask = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2
    return inside


def picture(level: int, ground: int = 100) -> Rgb:
    return np.where(disc()[..., None], np.uint8(level), np.uint8(ground)).repeat(3, axis=2)


def test_the_stronger_the_step_the_higher_the_contrast() -> None:
    found = [contrast(disc(), colour_steps(picture(level))) for level in (100, 105, 130, 255)]
    assert found[0] == pytest.approx(0, abs=0.01)
    assert found == sorted(found)
    assert 0.8 < found[-1] < 1


def test_a_step_of_colour_alone_counts() -> None:
    rgb = np.where(disc()[..., None], np.uint8([170, 80, 80]), np.uint8([80, 118, 80]))
    assert contrast(disc(), colour_steps(rgb.astype(np.uint8))) > 0.7


def test_an_outline_where_the_picture_has_no_edge_has_less_contrast() -> None:
    steps = colour_steps(picture(220))
    shifted = np.roll(disc(), 14, axis=1)
    assert contrast(shifted, steps) < 0.6 * contrast(disc(), steps)


def test_the_border_of_the_picture_is_no_outline() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[:, :30] = True
    assert np.array_equal(np.unique(np.nonzero(outline(mask))[1]), [29])
    everything = np.ones((40, 60), np.bool_)
    assert not outline(everything).any()
    assert contrast(everything, np.zeros((40, 60), np.float32)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (30, 2)])
def test_small_pictures_work(shape: tuple[int, int]) -> None:
    assert (colour_steps(np.full((*shape, 3), 7, np.uint8)) == 0).all()
