"""Segment a picture into masks: the panoptic map, and the zip of masks that callers download."""

from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.files.png_writer import encode_grey_png
from imaging.label_map import fill_gaps, mask_members, part_areas, select
from imaging.masks import automatic_radius, dilate
from imaging.picture import Alpha8, Labels, Picture
from models.roles import MATTING, SEGMENTATION, Models, Role
from pipelines.common.subject import subject_share
from pipelines.common.subject_parts import faces_of, subject_parts

PANOPTIC_ROLES: tuple[Role[Any], ...] = (MATTING, SEGMENTATION)
"""The roles that a panoptic map needs. A picture with transparent pixels would need no matting.

Face analysis is used too if the profile has it, to tell people apart."""

_THRESHOLD = 127
_MIN_SHARE = 0.001  # of the picture's area: a smaller part is too small to be selected
_MAX_MASKS = 255
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

    The first masks are the subject's: its people, animals and things (`subject_parts`), the largest
    first. A subject that is one piece is mask 1. After several pieces one id is left out, for the mask of
    the whole subject (`imaging.label_map.mask_members`). The parts of the rest follow, the largest
    first. There are at most 255 masks. Fully transparent pixels belong to no mask, and
    neither do thin remains around a subject that fills the picture.
    """
    subject = subject_labels(picture, subject_share(picture, models), models)
    with models.use(SEGMENTATION) as segmentation:
        parts = segmentation.segment(picture.rgb)
    return panoptic_map(picture, subject, parts)


def panoptic_map(picture: Picture, subject: Labels, parts: Labels) -> Labels:
    """Return the map that `objects_mask_generator` describes.

    subject: its parts, as `subject_labels` returns them. parts: those of the whole picture.
    """
    found = int(subject.max(initial=0))
    first = found + 2 if found > 1 else found + 1
    visible = None if picture.alpha is None else picture.alpha > 0
    # Along the subject's edge the matting and the segmentation disagree by a few pixels.
    outside = ~dilate(subject > 0, 2 * automatic_radius(*subject.shape))
    if visible is not None:
        outside &= visible
    panoptic = relabel(parts, part_areas(parts, outside), first, least_area(subject.size))
    panoptic[subject > 0] = 0
    fill_gaps(panoptic)
    if visible is not None:
        panoptic[~visible] = 0
    numbered = relabel(panoptic, part_areas(panoptic, subject == 0), first)
    return np.where(subject > 0, subject, numbered)


def subject_labels(picture: Picture, share: Alpha8, models: Models) -> Labels:
    """Return the parts of the subject, from 1; all 0 without a subject of some size.

    share: of the subject at each pixel, as `pipelines.common.subject.subject_share` returns it.
    """
    subject = share > _THRESHOLD
    if np.count_nonzero(subject) < least_area(subject.size):
        return np.zeros(subject.shape, np.uint8)
    return subject_parts(picture.rgb, subject, faces_of(picture.rgb, models))


def least_area(pixels: int) -> int:
    """Return the least area of a mask in a picture of so many pixels."""
    return max(1, int(_MIN_SHARE * pixels))


def relabel(labels: Labels, areas: NDArray[np.int64], first: int, min_area: int = 1) -> Labels:
    """Renumber the labels from `first` by descending area; those with fewer than `min_area` pixels become 0.

    areas: the pixels of each label, 256.
    """
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] >= min_area][: _MAX_MASKS + 1 - first]
    numbers = np.zeros(256, np.uint8)
    numbers[order] = np.arange(len(order)) + first
    return cv2.LUT(labels, numbers).astype(np.uint8, copy=False)


def masks_zip(labels: Labels, visual_id: str) -> bytes:
    """Return the zip of a panoptic map: `{visual_id}_panoptic.png` and `{visual_id}_{mask_id}.png`.

    All are 8-bit greyscale PNG files of the size of `labels`. In a mask the object is 255 and the
    rest 0; in the panoptic map the grey value is the mask's id. The mask of a subject of several pieces
    holds theirs, so its id is not in the map. The same map gives the same bytes.
    Memory holds only the zip and one strip of a mask.
    """
    archive = BytesIO()
    # PNG data of plain masks is repetitive: a second deflate saves a third and takes little time.
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(ZipInfo(f"{visual_id}_panoptic.png", _ZIP_DATE), encode_grey_png(labels))
        for mask_id, parts in mask_members(labels).items():
            entry = ZipInfo(f"{visual_id}_{mask_id}.png", _ZIP_DATE)
            alone = len(parts) == 1
            mask = (
                encode_grey_png(labels, mask_id)
                if alone
                else encode_grey_png(select(labels, parts))
            )
            file.writestr(entry, mask, ZIP_DEFLATED, 1)
    return archive.getvalue()
