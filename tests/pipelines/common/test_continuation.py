"""A subject that the border cuts: its outline beyond the border, and the check of the fill."""

import numpy as np

from imaging.picture import Mask, Rgb
from pipelines.common.continuation import continued_outlines, is_good_continuation

WINDOW = (slice(50, 250), slice(60, 360))
SHAPE = (350, 420)


def subject(rows: slice, columns: slice) -> Mask:
    mask = np.zeros((200, 300), np.bool_)
    mask[rows, columns] = True
    return mask


NO_HEAD = subject(slice(0, 0), slice(0, 0))


def outlines(mask: Mask, heads: Mask = NO_HEAD) -> list[Mask]:
    return list(continued_outlines(mask, heads, WINDOW, SHAPE))


def test_a_straight_subject_continues_straight_to_the_edge_of_the_canvas() -> None:
    (outline,) = outlines(subject(slice(100, 200), slice(100, 200)))
    expected = np.zeros(SHAPE, np.bool_)
    expected[250:, 160:260] = True
    assert (outline != expected).mean() < 0.002


def test_each_side_that_cuts_the_subject_has_an_outline() -> None:
    for rows, columns, inside in (
        (slice(0, 80), slice(100, 200), np.s_[:50, 160:260]),
        (slice(60, 140), slice(0, 90), np.s_[110:190, :60]),
        (slice(60, 140), slice(200, 300), np.s_[110:190, 360:]),
    ):
        (outline,) = outlines(subject(rows, columns))
        assert outline[inside].mean() > 0.95
        assert outline.sum() < 1.1 * outline[inside].size


def test_shoulders_go_on_outwards() -> None:
    mask = np.zeros((200, 300), np.bool_)
    for row in range(100, 200):
        mask[row, 150 - row // 2 : 150 + row // 2] = True
    (outline,) = outlines(mask)
    widths = outline[250:].sum(axis=1)
    assert widths[0] >= 198
    assert widths[-1] > widths[0] + 15


def test_a_subject_inside_the_picture_ends_there() -> None:
    assert outlines(subject(slice(50, 150), slice(100, 200))) == []


def test_a_cut_head_is_not_continued() -> None:
    mask = subject(slice(100, 200), slice(100, 200))
    assert outlines(mask, subject(slice(120, 200), slice(120, 180))) == []


def test_a_narrow_piece_is_not_continued() -> None:
    assert outlines(subject(slice(100, 200), slice(100, 108))) == []


def test_a_margin_that_is_deep_for_the_piece_is_not_continued() -> None:
    mask = subject(slice(100, 200), slice(100, 150))
    assert outlines(mask) == []


def cloth(colour: int) -> Rgb:
    noise = np.random.default_rng(1).integers(0, 20, (*SHAPE, 3))
    return (colour + noise).astype(np.uint8)


def test_more_of_the_same_is_good_and_other_colours_and_smears_are_not() -> None:
    mask = np.zeros(SHAPE, np.bool_)
    mask[150:250, 160:260] = True
    outline = np.zeros(SHAPE, np.bool_)
    outline[250:, 160:260] = True
    filled = cloth(100)
    assert is_good_continuation(filled, mask, outline)
    other, smear = filled.copy(), filled.copy()
    other[outline] = cloth(160)[outline]
    smear[outline] = 109
    assert not is_good_continuation(other, mask, outline)
    assert not is_good_continuation(smear, mask, outline)
