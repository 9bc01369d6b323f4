"""Pictures in one tone: brightness is that of the colours, greys stay, and sepia keeps the order of tones."""

import cv2
import numpy as np
import pytest

from imaging.toning import luminance, sepia

RAMP = np.arange(256, dtype=np.uint8)[None]


def luminance_of(rgb: tuple[int, int, int]) -> float:
    """Return the relative luminance of a colour as IEC 61966-2-1 and BT.709 define it."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_greys_stay_as_they_are() -> None:
    assert np.array_equal(luminance(np.dstack([RAMP] * 3)), RAMP)


@pytest.mark.parametrize(
    "colour",
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (224, 172, 138), (120, 180, 235), (30, 60, 20)],
)
def test_a_grey_is_as_bright_as_the_colour(colour: tuple[int, int, int]) -> None:
    grey = int(luminance(np.full((3, 2, 3), colour, np.uint8))[1, 1])
    near = [luminance_of((value,) * 3) for value in (max(0, grey - 1), min(255, grey + 1))]
    assert near[0] <= luminance_of(colour) <= near[1]


def test_pictures_higher_than_a_strip() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (300, 7, 3), np.uint8)
    whole = luminance(rgb)
    assert whole.shape == (300, 7)
    for row in (0, 127, 128, 299):
        assert np.array_equal(whole[row : row + 1], luminance(rgb[row : row + 1]))


def test_sepia_is_a_print_of_warm_browns_that_keeps_contrast() -> None:
    tones = sepia(RAMP)[0]
    assert np.all(np.diff(tones.astype(int), axis=0) >= 0)
    assert np.all(tones[:, 0] > tones[:, 1])
    assert np.all(tones[:, 1] > tones[:, 2])
    lightness = cv2.cvtColor(tones[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, :, 0]
    assert lightness[0] < 8
    assert lightness[255] > 92
    assert np.all(np.diff(lightness[::8]) > 1)  # no two of 32 tones run together
