"""Shapes that tests draw."""

import numpy as np

from imaging.picture import Alpha8, Mask


def soft_disc(height: int = 300, width: int = 400, softness: float = 20) -> Alpha8:
    """Return the opacity of a disc of radius 90 in the middle, `softness` pixels wide at its rim."""
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height / 2)
    return np.rint(255 * np.clip((90 - distance) / softness + 0.5, 0, 1)).astype(np.uint8)


def block(height: int, width: int, top: int, left: int, side: int) -> Mask:
    """Return a mask with one True square."""
    hole = np.zeros((height, width), np.bool_)
    hole[top : top + side, left : left + side] = True
    return hole
