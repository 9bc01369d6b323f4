"""The colour match: a model's shift, known in a ring around a hole, is undone inside; true changes stay."""

import cv2
import numpy as np
import pytest

from imaging.colour_match import match_to_ring
from imaging.masks import dilate_square
from imaging.picture import Mask, Rgb

HEIGHT, WIDTH = 240, 320
HOLE = np.pad(np.ones((100, 140), np.bool_), ((70, 70), (90, 90)))
RING = dilate_square(HOLE, 32) & ~HOLE
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
YELLOW = np.broadcast_to(np.array([9.0, 6.0, -14.0]), (HEIGHT, WIDTH, 3))
SLOPE = np.dstack([COLUMNS / 20 - 8, ROWS / 15 - 8, -(ROWS + COLUMNS) / 40])
RED = (220, 20, 30)


def textured(seed: int = 0) -> Rgb:
    """Return a picture whose levels leave room for a shift."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6).astype(np.float32)
    return np.clip((smooth - 128) * 5 + 128, 40, 215).astype(np.uint8)


def shifted(rgb: Rgb, shift: object) -> Rgb:
    return np.asarray(np.clip(rgb + np.asarray(shift), 0, 255).round(), np.uint8)


def error(one: Rgb, other: Rgb, where: Mask) -> float:
    """Return the largest difference of two pictures where a mask is True."""
    return float(np.abs(one.astype(int) - other)[where].max())


@pytest.mark.parametrize("shift", [YELLOW, SLOPE], ids=["even", "slope"])
def test_a_shift_of_brightness_and_colour_is_undone(shift: object) -> None:
    original = textured()
    made = shifted(original, shift)
    assert error(made, original, HOLE) > 8
    assert error(match_to_ring(made, original, RING), original, HOLE) <= 2


@pytest.mark.parametrize("shift", [YELLOW, SLOPE], ids=["even", "slope"])
def test_a_true_change_inside_keeps_its_colour(shift: object) -> None:
    original = textured()
    wanted = original.copy()
    wanted[90:150, 110:210] = RED
    matched = match_to_ring(shifted(wanted, shift), original, RING)
    assert error(matched, wanted, HOLE) <= 2


def test_what_is_inside_the_hole_has_no_say() -> None:
    original = textured()
    field = [
        match_to_ring(np.where(HOLE[..., None], inside, shifted(original, YELLOW)), original, RING)
        for inside in (np.full_like(original, 100), np.full_like(original, 50))
    ]
    assert np.array_equal(field[0][HOLE] - 100, field[1][HOLE] - 50)


def test_new_content_across_a_part_of_the_ring_is_not_taken_for_a_shift() -> None:
    original = textured()
    wanted = original.copy()
    wanted[60:120, 100:140] = RED  # from the hole through the ring above it
    matched = match_to_ring(shifted(wanted, YELLOW), original, RING)
    assert error(matched, wanted, HOLE) <= 2


def test_other_content_in_most_of_the_ring_corrects_nothing() -> None:
    original = textured()
    made = shifted(255 - original, 0)
    assert np.array_equal(match_to_ring(made, original, RING), made)


def test_without_a_ring_nothing_is_corrected() -> None:
    made = textured(1)
    assert np.array_equal(match_to_ring(made, textured(), np.zeros_like(HOLE)), made)


def test_the_same_picture_stays_bit_for_bit() -> None:
    original = textured()
    assert np.array_equal(match_to_ring(original, original, RING), original)
