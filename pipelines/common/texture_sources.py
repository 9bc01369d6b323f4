"""Which parts of a picture may lend texture to a hole in it, and which would only be repeated."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.masks import dilate_square, touched
from imaging.picture import Labels, Mask, Rgb
from imaging.resize import resize, resize_labels, within_side
from models.roles import SEGMENTATION, Models

_SIDE = (
    512  # pixels on the longer side at which parts are told apart; the lengths below are of these
)
_RIM = 3  # pixels: how near a part must come to have reached the hole
_BROAD = 0.8  # of a part's size: it meets the hole in no less, or only touches it
_ACROSS = 0.7  # of a part's extent, in either direction
_QUARTER = 0.25  # of the hole's circumference: what meets it in so much is broad at any size
_TOUCHING = 3  # pixels of rim: less may be an error of the segmentation
_DEPTH = 0.05  # of the shorter side: how deep what only touches the hole lends, to be continued
_ALIKE = 5.0  # in CIELAB: parts nearer to each other in looks are of one material
_ENOUGH = 0.35  # of the known pixels: from less, a fill repeats itself worse than objects
_MARGIN = 3  # pixels: the blur around an object

_PARTS = 256

PerPart = NDArray[np.float64]
"""256, or 256 x features: a row for each part's number; number 0 is what is not known."""


def lone_objects(rgb: Rgb, hole: Mask, avoid: Mask, models: Models, broad: float = 1.0) -> Mask:
    """Return what must not be repeated in the hole though it may be copied, at the size of `rgb`.

    A part of the picture that reaches the hole on a broad front goes on in it. One that stands
    clear of it, or only touches it, is an object that ends where it is seen, unless it looks like
    one that goes on. The parts most like those lend too, until a third of what is known does;
    what touches the hole lends a narrow band beside it, so that a post cut off is carried on.
    broad: of the longer side, a front that is broad enough for a part of any size.
    Always leaves a pixel to copy where hole and avoid leave a block of them.
    """
    height, width = hole.shape
    size = within_side(width, height, _SIDE)
    small = resize(rgb, size)
    small_hole, unknown = touched(hole, size), touched(hole | avoid, size)
    rim = dilate_square(small_hole, _RIM) & ~unknown
    if not rim.any():
        return np.zeros_like(hole)
    with models.use(SEGMENTATION) as segmentation:
        parts = np.where(unknown, 0, segmentation.segment(small)).astype(np.uint8)
    lone = _lone(small, parts, small_hole, rim, broad * max(size))
    wider = dilate_square(lone, _MARGIN)
    if 2 * np.count_nonzero(~wider & ~unknown) > np.count_nonzero(~lone & ~unknown):
        lone = wider
    return resize_labels(lone.view(np.uint8), (width, height)) > 0


def _lone(rgb: Rgb, parts: Labels, hole: Mask, rim: Mask, broad: float) -> Mask:
    """Return the parts that do not go on in the hole, less the bands beside it."""
    areas = np.bincount(parts.ravel(), minlength=_PARTS)
    areas[0] = 0
    contact = np.bincount(parts[rim], minlength=_PARTS) / _RIM
    touching = contact >= _TOUCHING
    front = np.minimum(_BROAD * np.sqrt(areas), min(broad, _QUARTER * contact.sum()))
    goes_on = touching & ((contact >= front) | (_crossing(parts, rim) >= _ACROSS))
    if not goes_on.any():
        goes_on = contact == contact.max()
    strangeness = _strangeness(rgb, parts, areas, goes_on)
    order = np.argsort(strangeness, kind="stable")
    before = np.cumsum(areas[order]) - areas[order]
    lends = np.zeros(_PARTS, np.bool_)
    lends[order] = (strangeness[order] <= _ALIKE) | (before < _ENOUGH * areas.sum())
    away = cv2.distanceTransform((~hole).view(np.uint8), cv2.DIST_L2, 3)
    beside = away <= _DEPTH * min(hole.shape)
    alone: Mask = ~lends[parts] & ~(beside & touching[parts]) & (parts > 0)
    return alone


def _crossing(parts: Labels, rim: Mask) -> PerPart:
    """Return how much of each part's extent lies between places where it meets the hole, 0..1.

    It is 1 for a horizon that runs from border to border, however thin.
    """
    shares = np.zeros(_PARTS)
    for number in np.unique(parts[rim]):
        part = parts == number
        spans = [
            [np.ptp(np.flatnonzero(mask.any(axis=axis))) + 1 for axis in (0, 1)]
            for mask in (part, part & rim)
        ]
        shares[number] = min(met / whole for whole, met in zip(*spans, strict=True))
    return shares


def _strangeness(
    rgb: Rgb, parts: Labels, areas: NDArray[np.intp], goes_on: NDArray[np.bool_]
) -> PerPart:
    """Return each part's distance in looks from the nearest part that goes on in the hole.

    Adjoining parts that do not go on are one object and as strange as their mean: a white rocket
    before a white wall is told by its orange tank.
    """
    looks = _looks(rgb, parts, areas)
    away = np.linalg.norm(looks[:, None] - looks[goes_on], axis=2).min(axis=1)
    ends = ~goes_on & (areas > 0)
    count, objects = cv2.connectedComponents(ends[parts].view(np.uint8), connectivity=4)
    sums = np.bincount(objects.ravel(), away[parts].ravel(), count)
    means = sums / np.maximum(np.bincount(objects.ravel(), minlength=count), 1)
    totals = np.bincount(parts.ravel(), means[objects].ravel(), _PARTS)
    return np.where(ends, totals / np.maximum(areas, 1), 0.0)


def _looks(rgb: Rgb, parts: Labels, areas: NDArray[np.intp]) -> PerPart:
    """Return the mean of each part's CIELAB values and their standard deviation: 256 x 6."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    pixels = np.maximum(areas, 1)[:, None]
    mean, square = (
        np.stack([np.bincount(parts.ravel(), of[:, i], _PARTS) for i in range(3)], axis=1) / pixels
        for of in (lab, lab * lab)
    )
    return np.hstack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
