"""Filling unknown pixels with the value of the nearest known pixel: colours or labels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask


def fill_from_nearest(
    values: NDArray[np.uint8],
    known: Mask,
    where: Mask | None = None,
    reach: float = float("inf"),
) -> NDArray[np.uint8]:
    """Return `values` with unknown pixels set to the value of the nearest known one.

    values: height x width, or height x width x channels, uint8. known: height x width, True where a
    value may be copied from; at least one pixel must be True. where: the pixels to fill; by default
    all unknown ones. reach: pixels farther than this from every known one keep their value.
    Distances are in pixels, by OpenCV's 5 x 5 mask, within 2 % of the Euclidean distance.
    """
    distance, nearest = cv2.distanceTransformWithLabels(
        (~known).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Each known pixel has its own number. The unknown pixels nearest to it have the same number.
    by_number = np.zeros((int(nearest.max()) + 1, *values.shape[2:]), np.uint8)
    by_number[nearest[known]] = values[known]
    filled = ~known if where is None else where
    if reach < float("inf"):
        filled = filled & (distance <= reach)
    result = values.copy()
    result[filled] = by_number[nearest[filled]]
    return result
