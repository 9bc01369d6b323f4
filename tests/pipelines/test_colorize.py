"""Colorize without a model: colours go, alpha and shape stay."""

import numpy as np
import pytest

from imaging.picture import Picture
from pipelines.colorize import ONE_TONE, in_one_tone

RGB = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
ALPHA = np.random.default_rng(2).integers(0, 256, (40, 30), np.uint8)


@pytest.mark.parametrize("color", ONE_TONE)
@pytest.mark.parametrize("alpha", [None, ALPHA], ids=["opaque", "alpha"])
def test_alpha_stays_and_each_brightness_has_one_tone(
    color: str, alpha: np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None
) -> None:
    made = in_one_tone(Picture(RGB, alpha), color)
    assert made.rgb.shape == RGB.shape
    assert made.alpha is alpha
    assert len({tuple(map(int, pixel)) for pixel in made.rgb.reshape(-1, 3)}) <= 256


def test_black_and_white_has_no_colour_and_sepia_has() -> None:
    grey, brown = (in_one_tone(Picture(RGB), color).rgb for color in ONE_TONE)
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert (brown[..., 0] > brown[..., 2]).all()


def test_no_other_colours() -> None:
    with pytest.raises(ValueError, match="color_vivid"):
        in_one_tone(Picture(RGB), "color_vivid")
