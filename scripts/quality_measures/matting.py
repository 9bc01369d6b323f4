"""Measures a matte against the true alpha of a composite."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from imaging.picture import Matte

_SOLID = 242
"""Alpha from which a pixel is not see-through: 0.95 of 255."""
_INSIDE = 0.012
"""Distance from the edge, as a share of the shorter side, from which a pixel of true alpha 1 is well inside."""


@dataclass(frozen=True)
class MatteErrors:
    """The errors of one matte.

    error: mean absolute difference of alpha, 0..1. iou: intersection over union of what is above half.
    see_through: share of the pixels well inside the subject whose alpha is under 0.95.
    """

    error: float
    iou: float
    see_through: float


@dataclass(frozen=True)
class MatteSummary:
    """The errors of several mattes; `worst_iou` is the lowest, and `see_through` the mean."""

    count: int
    error: float
    median_error: float
    iou: float
    worst_iou: float
    see_through: float


def matte_errors(found: Matte, true: Matte) -> MatteErrors:
    """Return the errors of `found` against `true`: height x width, uint8, 0..255."""
    difference = cv2.absdiff(found, true)
    found_in, true_in = found > 127, true > 127
    union = np.count_nonzero(found_in | true_in)
    shared = np.count_nonzero(found_in & true_in)
    inside = well_inside(true)
    return MatteErrors(
        error=float(difference.mean()) / 255,
        iou=shared / union if union else 1.0,
        see_through=float((found[inside] < _SOLID).mean()) if inside.any() else 0.0,
    )


def well_inside(true: Matte) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return where the subject is opaque and away from its edge; the frame is no edge."""
    reach = max(2, round(_INSIDE * min(true.shape)))
    # OpenCV erodes with the frame counted as inside.
    return cv2.erode((true == 255).astype(np.uint8), np.ones((2 * reach + 1,) * 2)) > 0


def summary(errors: Sequence[MatteErrors]) -> MatteSummary:
    """Return the means and the worst of one or more mattes."""
    values = np.array([(one.error, one.iou, one.see_through) for one in errors])
    error, iou, see_through = values.mean(0)
    return MatteSummary(
        count=len(errors),
        error=float(error),
        median_error=float(np.median(values[:, 0])),
        iou=float(iou),
        worst_iou=float(values[:, 1].min()),
        see_through=float(see_through),
    )
