"""Where a cut-out stands: on each leg, on its whole sole, and not where another part is below it."""

import numpy as np

from imaging.ground_contact import FOOT, Standing, standing_parts
from imaging.picture import Mask


def drawn(*boxes: tuple[int, int, int, int]) -> Mask:
    """Return 200 x 300 pixels, True in boxes of top, bottom, left, right."""
    mask = np.zeros((200, 300), bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def feet(part: Standing) -> set[int]:
    """Return the columns of the picture in which a part touches the ground."""
    return {int(x) + part.columns.start for x in np.flatnonzero(part.contact > FOOT)}


def only(subject: Mask) -> Standing:
    (part,) = standing_parts(subject)
    return part


def test_a_box_stands_on_all_of_its_columns() -> None:
    part = only(drawn((50, 150, 80, 200)))
    assert feet(part) == set(range(80, 200))
    assert (part.ground == 149).all()


def test_a_table_stands_on_its_legs_and_not_in_between() -> None:
    legs = ((70, 150, 80, 88), (70, 150, 192, 200))
    part = only(drawn((50, 70, 80, 200), *legs))
    assert feet(part) == {*range(80, 88), *range(192, 200)}
    assert (part.ground == 149).all(), "the ground is even from leg to leg"


def test_a_table_seen_from_above_stands_on_all_four_legs() -> None:
    left, front, right, behind = (
        (70, 130, 82, 90),
        (70, 160, 130, 138),
        (70, 130, 190, 198),
        (70, 105, 142, 150),
    )
    part = only(drawn((50, 70, 80, 200), left, front, right, behind))
    for _, bottom, start, stop in (left, front, right, behind):
        assert feet(part) >= set(range(start, stop))
        assert part.lowest[start + 2 - part.columns.start] == bottom - 1


def test_a_handle_above_the_ground_does_not_touch_it() -> None:
    part = only(drawn((50, 150, 80, 160), (70, 110, 160, 200)))
    assert feet(part) == set(range(80, 160))
    assert part.ground[-1] == 149


def test_a_lid_above_glass_that_is_not_solid_casts_no_shadow_of_its_own() -> None:
    lid, base = (20, 40, 100, 180), (120, 150, 100, 180)
    part = only(drawn(lid, base))
    assert part.mask[130, 140]
    assert not part.mask[30, 140]


def test_two_things_side_by_side_both_stand() -> None:
    parts = list(standing_parts(drawn((40, 150, 20, 90), (90, 140, 200, 280))))
    assert sorted(int(part.lowest.max()) for part in parts) == [139, 149]


def test_what_hangs_high_beside_another_thing_does_not_stand() -> None:
    parts = list(standing_parts(drawn((60, 190, 20, 160), (5, 30, 170, 200))))
    assert [int(part.lowest.max()) for part in parts] == [189]


def test_specks_and_nothing_do_not_stand() -> None:
    assert not list(standing_parts(drawn()))
    assert len(list(standing_parts(drawn((50, 150, 80, 200), (10, 12, 250, 252))))) == 1
