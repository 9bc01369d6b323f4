"""The score of fills ranks bad ones last, and finds copied heads."""

import numpy as np
import pytest

from imaging.picture import Rgb
from scripts.quality_measures.fills import bad_fills, cloned, fill_score, ring
from tests.scripts.quality.made_pictures import disc, texture, with_head

HEAD = (20.0, 20.0, 64.0, 64.0)
HOLE = disc(240, 320, 220, 140, 60)


def picture() -> Rgb:
    """Cloth with a head."""
    return with_head(texture(), 20, 20)


def test_the_five_bad_fills_are_ranked_behind_a_good_one() -> None:
    good = fill_score(picture(), HOLE, [HEAD])
    bad = {
        name: fill_score(fill, HOLE, [HEAD]) for name, fill in bad_fills(picture(), HOLE, [HEAD])
    }
    assert list(bad) == ["black", "blurred", "shifted block", "noise", "mirrored head"]
    del bad["shifted block"]  # cloth shifted is cloth; below it is shifted into other cloth
    assert good < min(bad.values()), bad


def test_a_shifted_block_is_ranked_behind_a_good_fill_where_the_picture_changes() -> None:
    rgb = picture()
    rgb[:, :200] //= 3
    rgb[:100] //= 2
    hole = disc(240, 320, 260, 160, 40)
    (shifted,) = (fill for name, fill in bad_fills(rgb, hole, []) if name == "shifted block")
    assert fill_score(rgb, hole) < fill_score(shifted, hole)


def test_other_cloth_of_the_same_kind_is_a_good_fill() -> None:
    other = np.where(HOLE[..., None], texture(seed=6), picture())
    worst = min(
        fill_score(fill, HOLE)
        for name, fill in bad_fills(picture(), HOLE, [HEAD])
        if name != "shifted block"
    )
    assert fill_score(other, HOLE, [HEAD]) < worst


def test_bad_fills_change_nothing_outside_the_hole() -> None:
    for name, fill in bad_fills(picture(), HOLE, [HEAD]):
        assert (fill[~HOLE] == picture()[~HOLE]).all(), name
        assert (fill[HOLE] != picture()[HOLE]).any(), name


@pytest.mark.parametrize("side", [44, 56, 64, 74])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_head_in_the_hole_is_a_clone(side: int, mirrored: bool) -> None:
    copied = with_head(picture(), 220 - side // 2, 140 - side // 2, side, mirrored)
    assert cloned(copied, HOLE, [HEAD])
    assert not cloned(picture(), HOLE, [HEAD])


def test_a_head_that_the_hole_touches_is_no_clone_of_itself() -> None:
    assert not cloned(picture(), disc(240, 320, 60, 60, 50), [HEAD])


def test_the_ring_surrounds_the_hole() -> None:
    around = ring(HOLE)
    assert not (around & HOLE).any()
    assert around[140, 220 - 62]
    assert not around[5, 5]
