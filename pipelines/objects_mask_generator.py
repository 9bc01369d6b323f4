"""A mask for each part of a picture: the panoptic map, and the zip of masks that callers get."""

from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.files.png_writer import encode_grey_png
from imaging.inpaint.nearest import fill_from_nearest
from imaging.masks import automatic_radius, dilate
from imaging.picture import Labels, Mask, Picture
from models.roles import SEGMENTATION, Models
from pipelines.common.subject import subject_alpha

_HALF = 127
_SMALLEST = 0.001  # of the picture's area: less is a sliver, not worth a click
_MOST = 255
_STRIP_PIXELS = 1 << 22
_REACH = 64  # rows beyond a strip that lend their labels to the slivers in it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's first date: the same masks make the same bytes


def objects_mask_generator(picture: Picture, models: Models) -> Labels:
    """Return the panoptic map of `picture`: height x width, uint8, the mask's id from 1, 0 for none.

    The subject, when there is one, is mask 1; then come the parts of the rest, the largest first,
    no more than 255 in all, without gaps in the numbers. No mask has the pixels that are wholly
    transparent, nor slivers around a subject that fills the picture.
    """
    subject = subject_alpha(picture, models) > _HALF
    visible = None if picture.alpha is None else picture.alpha > 0
    least = max(1, int(_SMALLEST * subject.size))
    if np.count_nonzero(subject) < least:
        subject[:] = False
    with models.use(SEGMENTATION) as segmentation:
        parts = segmentation.segment(picture.rgb)
    # A part's rim along the subject is where the two models disagree by a few pixels.
    outside = ~dilate(subject, 2 * automatic_radius(*subject.shape))
    if visible is not None:
        outside &= visible
    kept = _relabel(parts, _areas(parts, outside), int(subject.any()), least)
    kept[subject] = 0
    _fill_gaps(kept)
    if visible is not None:
        kept[~visible] = 0
    kept[subject] = 1
    return _relabel(kept, _areas(kept, ~subject), int(subject.any()))


def _areas(labels: Labels, where: Mask) -> NDArray[np.int64]:
    """Count the pixels of each label, in strips because counting widens them to 8 bytes."""
    areas = np.zeros(256, np.int64)
    rows = max(1, _STRIP_PIXELS // labels.shape[1])
    for top in range(0, len(labels), rows):
        strip = slice(top, top + rows)
        areas += np.bincount(labels[strip][where[strip]], minlength=256)
    areas[0] = 0
    return areas


def _relabel(labels: Labels, areas: NDArray[np.int64], subjects: int, least: int = 1) -> Labels:
    """Number the labels by area, after the subject's; those below `least` become 0.

    subjects: 0 or 1; the subject is the label 1 that has no area here.
    """
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] >= least][: _MOST - subjects]
    numbers = np.zeros(256, np.uint8)
    numbers[1] = subjects
    numbers[order] = np.arange(1, len(order) + 1) + subjects
    return cv2.LUT(labels, numbers).astype(np.uint8, copy=False)


def _fill_gaps(labels: Labels) -> None:
    """Assign each pixel of no part to the nearest part, if one is near, in place."""
    rows = max(_REACH, _STRIP_PIXELS // labels.shape[1])
    source = labels.copy()
    for top in range(0, len(labels), rows):
        above = min(top, _REACH)
        window = source[top - above : top + rows + _REACH]
        known = window > 0
        if known.all() or not known.any():
            continue
        strip = labels[top : top + rows]
        strip[:] = fill_from_nearest(window, known)[above : above + len(strip)]


def masks_zip(labels: Labels, visual_id: str) -> bytes:
    """Return the zip of a panoptic map: `{visual_id}_panoptic.png` and `{visual_id}_{mask_id}.png`.

    All are 8-bit greyscale at the size of `labels`; masks are 255 on 0, the panoptic map's grey is
    the mask's id. The same map gives the same bytes. It holds no more than the zip and a strip.
    """
    archive = BytesIO()
    # PNG data of plain masks repeats itself: another deflate takes a third off for next to no time.
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(ZipInfo(f"{visual_id}_panoptic.png", _EPOCH), encode_grey_png(labels))
        for mask_id in range(1, int(labels.max(initial=0)) + 1):
            entry = ZipInfo(f"{visual_id}_{mask_id}.png", _EPOCH)
            file.writestr(entry, encode_grey_png(labels, mask_id), ZIP_DEFLATED, 1)
    return archive.getvalue()
