"""Find which parts of a picture are good texture sources for a hole, and which are separate objects."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.masks import dilate_square, touched
from imaging.picture import Labels, Mask, Rgb
from imaging.resize import resize, resize_labels, within_side
from models.roles import SEGMENTATION, Models

# Lengths are in pixels of the reduced copy on which the parts are analysed.
_ANALYSIS_SIDE = 320  # pixels of the copy's longer side
_RIM_PIXELS = 3  # a part within this distance of the hole meets it
_MIN_CONTACT = 0.8  # of the square root of a part's area: a part with a longer contact continues
_MIN_SPAN = 0.7  # a part continues if the span of its contact is this share of its extent
_WIDE_CONTACT = 0.25  # of the hole's outline: a part of any size with a longer contact continues
_MIN_TOUCH = 3  # length of contact; a shorter one may be an error of the segmentation
# Of the shorter side: depth of the band in which a part that only touches the hole is a source.
_BAND_DEPTH = 0.05
_MAX_DISTANCE = 5.0  # distance in CIELAB: parts that are closer are of the same material
_MIN_SOURCES = 0.35  # of the known pixels: a fill from fewer sources repeats itself visibly
_MAX_ALONE = 0.1  # of the picture's area: a larger object is scenery
_MOSTLY_WITHIN = 0.6  # share of a part that must be where bodies are likely
_MARGIN_PIXELS = 3  # width of the blurred edge of an object

_LABEL_COUNT = 256

PerLabel = NDArray[np.float64]
"""Shape 256 or 256 x features: one row for each part's label; label 0 is the unknown pixels."""


def isolated_objects(
    rgb: Rgb,
    hole: Mask,
    avoid: Mask,
    models: Models,
    wide_contact: float = 1.0,
    people: Mask | None = None,
) -> Mask:
    """Return the separate objects that a fill must not repeat in the hole, a mask of the size of `rgb`.

    rgb: height x width x 3, uint8. hole: True is to be filled. avoid: True must not be copied for
    other reasons. wide_contact: share of the longer side; a part of any size with a longer contact
    continues in the hole. people: True where bodies are likely; parts that lie
    mostly there are returned too. Large objects are scenery and are not returned.

    A part of the picture with a long contact to the hole continues in it and is a texture source. A
    part away from the hole, or one that only touches it, is an object that ends where it is visible,
    unless it looks like a part that continues. The most similar parts are sources too, until about a
    third of the known pixels are. A part that touches the hole is a source in a narrow band beside
    the hole, so that, for example, a post that the hole cuts continues. If `hole` and `avoid` leave
    a block of pixels, at least one pixel remains to copy.
    """
    height, width = hole.shape
    size = within_side(width, height, _ANALYSIS_SIDE)
    small = resize(rgb, size)
    small_hole, unknown = touched(hole, size), touched(hole | avoid, size)
    rim = dilate_square(small_hole, _RIM_PIXELS) & ~unknown
    if not rim.any():
        return np.zeros_like(hole)
    with models.use(SEGMENTATION) as segmentation:
        parts = np.where(unknown, 0, segmentation.segment(small)).astype(np.uint8)
    isolated = _isolated_parts(small, parts, small_hole, rim, wide_contact * max(size))
    isolated = _standing_alone(isolated)
    if people is not None:
        isolated |= _bodies(small, parts, touched(people, size))
    wider = dilate_square(isolated, _MARGIN_PIXELS)
    if 2 * np.count_nonzero(~wider & ~unknown) > np.count_nonzero(~isolated & ~unknown):
        isolated = wider
    return resize_labels(isolated.view(np.uint8), (width, height)) > 0


def _standing_alone(isolated: Mask) -> Mask:
    """Return the objects that are not large; the others are scenery."""
    _, objects, stats, _ = cv2.connectedComponentsWithStats(isolated.view(np.uint8))
    alone = stats[:, cv2.CC_STAT_AREA] <= _MAX_ALONE * isolated.size
    alone[0] = False
    result: Mask = alone[objects]
    return result


def _bodies(rgb: Rgb, parts: Labels, area: Mask) -> Mask:
    """Return the pixels in `area` of the parts that lie mostly there and resemble no part elsewhere.

    What resembles a part elsewhere, such as the grass between two legs, is ground and no body.
    """
    areas = np.bincount(parts.ravel(), minlength=_LABEL_COUNT)
    areas[0] = 0
    inside = np.bincount(parts[area], minlength=_LABEL_COUNT)
    mostly = inside > _MOSTLY_WITHIN * np.maximum(areas, 1)
    mostly[0] = False
    elsewhere = ~mostly & (areas > 0)
    if elsewhere.any():
        mostly &= _dissimilarity(rgb, parts, areas, elsewhere) > _MAX_DISTANCE
    result: Mask = mostly[parts] & area
    return result


def _isolated_parts(rgb: Rgb, parts: Labels, hole: Mask, rim: Mask, wide_contact: float) -> Mask:
    """Return the parts that do not continue in the hole, without the bands beside it."""
    areas = np.bincount(parts.ravel(), minlength=_LABEL_COUNT)
    areas[0] = 0
    contact = np.bincount(parts[rim], minlength=_LABEL_COUNT) / _RIM_PIXELS
    touching = contact >= _MIN_TOUCH
    required = np.minimum(
        _MIN_CONTACT * np.sqrt(areas), min(wide_contact, _WIDE_CONTACT * contact.sum())
    )
    continues = touching & ((contact >= required) | (_spanned_shares(parts, rim) >= _MIN_SPAN))
    if not continues.any():
        continues = contact == contact.max()
    dissimilarity = _dissimilarity(rgb, parts, areas, continues)
    order = np.argsort(dissimilarity, kind="stable")
    sourced_before = np.cumsum(areas[order]) - areas[order]
    is_source = np.zeros(_LABEL_COUNT, np.bool_)
    is_source[order] = (dissimilarity[order] <= _MAX_DISTANCE) | (
        sourced_before < _MIN_SOURCES * areas.sum()
    )
    distances = cv2.distanceTransform((~hole).view(np.uint8), cv2.DIST_L2, 3)
    near_hole = distances <= _BAND_DEPTH * min(hole.shape)
    result: Mask = ~is_source[parts] & ~(near_hole & touching[parts]) & (parts > 0)
    return result


def _spanned_shares(parts: Labels, rim: Mask) -> PerLabel:
    """Return for each part the span of its contact with the hole, as a share of its extent, 0..1.

    It is the lesser share of both directions. It is 1 for a horizon from border to border, even if
    that is thin.
    """
    shares = np.zeros(_LABEL_COUNT)
    for number in np.unique(parts[rim]):
        part = parts == number
        spans = [
            [np.ptp(np.flatnonzero(mask.any(axis=axis))) + 1 for axis in (0, 1)]
            for mask in (part, part & rim)
        ]
        shares[number] = min(
            contact_span / full_span for full_span, contact_span in zip(*spans, strict=True)
        )
    return shares


def _dissimilarity(
    rgb: Rgb, parts: Labels, areas: NDArray[np.intp], continues: NDArray[np.bool_]
) -> PerLabel:
    """Return each part's distance in colour features from the most similar part that continues.

    Adjacent parts that do not continue are one object and share its mean distance: a white rocket
    in front of a white wall is recognized by its orange tank.
    """
    features = _colour_features(rgb, parts, areas)
    distances = np.linalg.norm(features[:, None] - features[continues], axis=2).min(axis=1)
    isolated = ~continues & (areas > 0)
    count, objects = cv2.connectedComponents(isolated[parts].view(np.uint8), connectivity=4)
    sums = np.bincount(objects.ravel(), distances[parts].ravel(), count)
    means = sums / np.maximum(np.bincount(objects.ravel(), minlength=count), 1)
    totals = np.bincount(parts.ravel(), means[objects].ravel(), _LABEL_COUNT)
    return np.where(isolated, totals / np.maximum(areas, 1), 0.0)


def _colour_features(rgb: Rgb, parts: Labels, areas: NDArray[np.intp]) -> PerLabel:
    """Return the mean and the standard deviation of each part's CIELAB values: 256 x 6."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    pixels = np.maximum(areas, 1)[:, None]
    mean, square = (
        np.stack([np.bincount(parts.ravel(), of[:, i], _LABEL_COUNT) for i in range(3)], axis=1)
        / pixels
        for of in (lab, lab * lab)
    )
    return np.hstack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
