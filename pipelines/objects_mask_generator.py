"""Segment a picture into masks: the panoptic map, and the zip of masks that callers download."""

from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.files.png_writer import encode_grey_png
from imaging.inpaint.nearest import fill_from_nearest
from imaging.masks import automatic_radius, dilate
from imaging.picture import Labels, Mask, Picture
from models.roles import MATTING, SEGMENTATION, Models, Role
from pipelines.common.subject import subject_share

PANOPTIC_ROLES: tuple[Role[Any], ...] = (MATTING, SEGMENTATION)
"""The roles that a panoptic map needs. A picture with transparent pixels would need no matting."""

_THRESHOLD = 127
_MIN_SHARE = 0.001  # of the picture's area: a smaller part is too small to be selected
_MAX_MASKS = 255
_STRIP_PIXELS = 1 << 22
_FILL_REACH = 64  # rows above and below a strip from which its small gaps take their labels
_ZIP_DATE = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the earliest date of a zip; fixed, so equal masks give equal bytes


def objects_mask_generator(picture: Picture, models: Models) -> Labels:
    """Return the panoptic map of `picture`: height x width, uint8, mask ids from 1, 0 for no mask.

    Mask 1 is the subject, if there is one. The other parts follow, the largest first. There are at
    most 255 masks, numbered without gaps. Fully transparent pixels belong to no mask, and neither
    do thin remains around a subject that fills the picture.
    """
    subject = subject_share(picture, models) > _THRESHOLD
    visible = None if picture.alpha is None else picture.alpha > 0
    min_area = max(1, int(_MIN_SHARE * subject.size))
    if np.count_nonzero(subject) < min_area:
        subject[:] = False
    with models.use(SEGMENTATION) as segmentation:
        parts = segmentation.segment(picture.rgb)
    # Along the subject's edge the matting and the segmentation disagree by a few pixels.
    outside = ~dilate(subject, 2 * automatic_radius(*subject.shape))
    if visible is not None:
        outside &= visible
    panoptic = _relabel(parts, _areas(parts, outside), 2 if subject.any() else 1, min_area)
    panoptic[subject] = 0
    _fill_gaps(panoptic)
    if visible is not None:
        panoptic[~visible] = 0
    numbered = _relabel(panoptic, _areas(panoptic, ~subject), 2 if subject.any() else 1)
    numbered[subject] = 1
    return numbered


def _areas(labels: Labels, where: Mask) -> NDArray[np.int64]:
    """Count the pixels of each label; in strips, because counting needs 8 bytes for each pixel."""
    areas = np.zeros(256, np.int64)
    rows = max(1, _STRIP_PIXELS // labels.shape[1])
    for top in range(0, len(labels), rows):
        strip = slice(top, top + rows)
        areas += np.bincount(labels[strip][where[strip]], minlength=256)
    areas[0] = 0
    return areas


def _relabel(labels: Labels, areas: NDArray[np.int64], first: int, min_area: int = 1) -> Labels:
    """Renumber the labels from `first` by descending area; those with fewer than `min_area` pixels become 0.

    areas: the pixels of each label, 256.
    """
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] >= min_area][: _MAX_MASKS + 1 - first]
    numbers = np.zeros(256, np.uint8)
    numbers[order] = np.arange(len(order)) + first
    return cv2.LUT(labels, numbers).astype(np.uint8, copy=False)


def _fill_gaps(labels: Labels) -> None:
    """Assign each pixel without a label to the nearest part within reach, in place."""
    rows = max(_FILL_REACH, _STRIP_PIXELS // labels.shape[1])
    source = labels.copy()
    for top in range(0, len(labels), rows):
        above = min(top, _FILL_REACH)
        window = source[top - above : top + rows + _FILL_REACH]
        known = window > 0
        if known.all() or not known.any():
            continue
        strip = labels[top : top + rows]
        strip[:] = fill_from_nearest(window, known)[above : above + len(strip)]


def masks_zip(labels: Labels, visual_id: str) -> bytes:
    """Return the zip of a panoptic map: `{visual_id}_panoptic.png` and `{visual_id}_{mask_id}.png`.

    All are 8-bit greyscale PNG files of the size of `labels`. In a mask the object is 255 and the
    rest 0; in the panoptic map the grey value is the mask's id. The same map gives the same bytes.
    Memory holds only the zip and one strip of a mask.
    """
    archive = BytesIO()
    # PNG data of plain masks is repetitive: a second deflate saves a third and takes little time.
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(ZipInfo(f"{visual_id}_panoptic.png", _ZIP_DATE), encode_grey_png(labels))
        for mask_id in range(1, int(labels.max(initial=0)) + 1):
            entry = ZipInfo(f"{visual_id}_{mask_id}.png", _ZIP_DATE)
            file.writestr(entry, encode_grey_png(labels, mask_id), ZIP_DEFLATED, 1)
    return archive.getvalue()
