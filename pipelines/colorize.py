"""Turn a picture into black and white, or into an old sepia print: arithmetic, without a model."""

import cv2
import numpy as np

from imaging.picture import Picture
from imaging.toning import luminance, sepia

ONE_TONE = ("black_and_white", "sepia_vintage")
"""The values of colorize that need no model."""


def in_one_tone(picture: Picture, color: str) -> Picture:
    """Return a picture in the tones of one of ONE_TONE; its alpha stays as it is.

    Raises ValueError for another value.
    """
    if color not in ONE_TONE:
        raise ValueError(f"color is {color!r}, must be one of {ONE_TONE}")
    grey = luminance(picture.rgb)
    rgb = sepia(grey) if color == "sepia_vintage" else np.asarray(cv2.merge([grey] * 3), np.uint8)
    return Picture(rgb, picture.alpha)
