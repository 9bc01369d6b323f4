"""Mask proposals: stability, tidying, duplicates, and the map made from the masks that stay."""

import numpy as np
import pytest

from imaging.mask_proposals import Float, Proposal, distinct, stability, stacked


def disc(side: int, y: float, x: float, radius: float) -> Float:
    """Return logits that fall by 1 for each pixel outwards, 0 on the circle."""
    rows, columns = np.ogrid[:side, :side]
    return (radius - np.hypot(rows + 0.5 - y, columns + 0.5 - x)).astype(np.float32)


def test_stability_is_the_iou_of_a_stricter_and_a_laxer_mask() -> None:
    assert stability(disc(200, 100, 100, 50)) == pytest.approx((49 / 51) ** 2, abs=0.01)
    assert stability(np.full((9, 9), 5, np.float32)) == 1
    assert stability(np.full((9, 9), -5, np.float32)) == 0
    assert stability(np.full((9, 9), 0.5, np.float32)) == 0


def test_specks_outside_and_holes_inside_are_removed() -> None:
    logits = disc(200, 100, 100, 50)
    logits[100:103, 100:103] = -3
    logits[10:13, 10:13] = 3
    logits[60:80, 95:105] = -3
    mask = Proposal.of(logits, 0.9).mask
    assert mask[101, 101]
    assert not mask[11, 11]
    assert not mask[70, 100]  # a large hole stays


def test_of_two_masks_alike_the_surer_one_stays_and_nested_ones_both_stay() -> None:
    sure, alike, inner, other = (
        Proposal.of(disc(200, 100, x, radius), score)
        for x, radius, score in ((100, 50, 0.95), (102, 51, 0.9), (100, 20, 0.99), (30, 20, 0.89))
    )
    assert distinct([alike, sure, inner, other], 0.7) == [inner, sure, other]


def test_a_ring_and_its_disc_are_not_the_same_although_their_boxes_are() -> None:
    whole = disc(200, 100, 100, 50)
    ring = np.minimum(whole, -disc(200, 100, 100, 40))
    assert len(distinct([Proposal.of(whole, 0.9), Proposal.of(ring, 0.9)], 0.7)) == 2


def test_masks_too_small_to_be_selected_are_left_out() -> None:
    tiny = Proposal.of(disc(200, 100, 100, 2), 0.9)
    assert distinct([tiny, Proposal.of(np.full((200, 200), -1, np.float32), 0.9)], 0.7) == []


def test_the_smallest_mask_is_on_top_and_the_largest_is_first() -> None:
    proposals = [Proposal.of(disc(64, 32, 32, radius), 0.9) for radius in (8, 30, 16)]
    labels = stacked(proposals, (128, 128), (64, 64))
    assert labels[64].tolist()[64] == 3
    assert labels[64, 88] == 2
    assert labels[64, 110] == 1
    assert labels[2, 2] == 0
    assert np.bincount(labels.ravel())[3] == pytest.approx(np.pi * 16**2, rel=0.03)


@pytest.mark.parametrize("size", [(300, 200), (3000, 2000), (64, 43)])
def test_a_mask_lies_where_its_logits_say(size: tuple[int, int]) -> None:
    reach = 256.0, 256 * 2 / 3
    labels = stacked([Proposal.of(disc(256, 60, 200, 30)[:171], 0.9)], size, reach)
    rows, columns = np.ogrid[: size[1], : size[0]]
    scale = size[0] / 256
    truth = np.hypot(rows + 0.5 - 60 * scale, columns + 0.5 - 200 * scale) < 30 * scale
    assert ((labels == 1) & truth).sum() / ((labels == 1) | truth).sum() > 0.97


def test_only_the_255_largest_are_used() -> None:
    logits = np.full((300, 256, 256), -1, np.float32)
    for number in range(300):
        y, x = divmod(number, 20)
        logits[number, 12 * y : 12 * y + 8, 12 * x : 12 * x + 8 + (number < 255)] = 5
    labels = stacked([Proposal.of(plane, 0.9) for plane in logits], (256, 256), (256, 256))
    assert labels.max() == 255
    assert len(np.unique(labels)) == 256
