"""Pictures that the tests of scripts/quality make: texture, and faces that are only marks on it."""

import cv2
import numpy as np

from imaging.picture import Mask, Rgb


def texture(rows: int = 240, columns: int = 320, seed: int = 5) -> Rgb:
    """Return cloth: soft noise of two colours, the same everywhere."""
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.normal(0, 1, (rows, columns)), (0, 0), 1.5)
    share = np.clip(noise / noise.std() * 0.2 + 0.5, 0, 1)[..., None]
    colours = np.array((40, 90, 60)), np.array((150, 170, 120))
    return np.asarray(np.rint(colours[0] * (1 - share) + colours[1] * share), np.uint8)


def with_head(rgb: Rgb, x: int, y: int, side: int = 64, mirrored: bool = False) -> Rgb:
    """Return a picture with a drawn head, looking to its left or, mirrored, to its right."""
    head = np.full((64, 64, 3), (224, 180, 150), np.uint8)
    cv2.circle(head, (16, 24), 6, (30, 20, 20), -1)
    cv2.circle(head, (38, 24), 6, (30, 20, 20), -1)
    cv2.ellipse(head, (25, 46), (14, 6), 0, 0, 180, (150, 30, 40), -1)
    cv2.rectangle(head, (52, 0), (63, 63), (60, 40, 20), -1)
    sized = cv2.resize(head[:, ::-1] if mirrored else head, (side, side))
    result = rgb.copy()
    result[y : y + side, x : x + side] = sized
    return result


def disc(rows: int, columns: int, x: int, y: int, radius: int) -> Mask:
    """Return the mask of a disc."""
    return cv2.circle(np.zeros((rows, columns), np.uint8), (x, y), radius, 1, -1) > 0
