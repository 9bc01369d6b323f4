"""Every mask of a picture, with its area and how sure it is: the subject, its parts, and those of the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.edge_contrast import colour_steps, contrast
from imaging.files.png_writer import encode_grey_png
from imaging.label_map import mask_members, part_areas, select
from imaging.masks import automatic_radius, dilate
from imaging.picture import Alpha8, Labels, Mask, Picture
from imaging.resize import resize, resize_labels, within_side
from models.roles import SEGMENTATION, Models
from pipelines.common.subject import subject_share
from pipelines.objects_mask_generator import least_area, panoptic_map, relabel, subject_labels

_SIDE = 1024
"""Pixels of the longer side at which masks are compared and their outlines looked at."""
_SAME = 0.9
"""IoU from which two masks are one."""
_MOST = 255
_SURE, _POSSIBLE = 191, 64
"""Levels of a matte of which three quarters, or one quarter, of the pixel are subject."""


@dataclass(frozen=True, eq=False)
class ObjectMask:
    """One mask.

    id: from 1. area: white pixels. confidence: 0..1, higher is surer. png: the mask as an 8-bit greyscale
    PNG file in the size of the picture, 255 on the object and 0 elsewhere.
    """

    id: int
    area: int
    confidence: float
    png: bytes


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A mask before its number: the parts `numbers` of a map at full size, and how sure it is."""

    labels: Labels
    numbers: tuple[int, ...]
    confidence: float

    def mask(self) -> NDArray[np.uint8]:
        return select(self.labels, self.numbers)


def all_masks(picture: Picture, models: Models) -> list[ObjectMask]:
    """Return the masks of `picture`, the surest first, at most 255; an empty list if nothing is visible.

    They overlap and nest: the whole subject, each of its people, animals and things, the parts that the
    segmentation model finds in them, what is behind the subject, and the parts of that. Of two masks with
    an IoU of 0.9 or more only the first in this order stays. Fully transparent pixels belong to no mask.

    The confidence of the subject, of its people, animals and things, and of what is behind it, which has the
    subject's outline, is that of the matte: the IoU of the subject at a threshold of three quarters and at
    one of a quarter, as in Segment Anything's stability score. That of a part is how clearly its outline
    stands out (`imaging.edge_contrast`). Memory holds a few maps of the picture's size and the PNG files.
    """
    share = subject_share(picture, models)
    subject = subject_labels(picture, share, models)
    with models.use(SEGMENTATION) as segmentation:
        parts = segmentation.segment(picture.rgb)
    found = [*_of_subject(subject, share, picture.alpha), *_of_parts(picture, subject, parts)]
    distinct = _distinct(found)
    distinct.sort(key=lambda candidate: -candidate.confidence)
    return [_numbered(number, each) for number, each in enumerate(distinct, start=1)]


def _numbered(number: int, candidate: _Candidate) -> ObjectMask:
    mask = candidate.mask()
    area = int(np.count_nonzero(mask))
    return ObjectMask(number, area, round(candidate.confidence, 4), encode_grey_png(mask))


def _of_subject(subject: Labels, share: Alpha8, alpha: Alpha8 | None) -> Iterator[_Candidate]:
    """Yield the whole subject, its people, animals and things, and what is behind it."""
    count = int(subject.max(initial=0))
    if not count:
        return
    whole = _stability(share, np.ones(subject.shape, np.bool_))
    yield _Candidate(subject, tuple(range(1, count + 1)), whole)
    for number in range(1, count + 1) if count > 1 else ():
        mine = subject == number
        near = dilate(mine, 2 * automatic_radius(*subject.shape)) & (mine | (subject == 0))
        yield _Candidate(subject, (number,), _stability(share, near))
    behind = subject == 0 if alpha is None else (subject == 0) & (alpha > 0)
    if np.count_nonzero(behind) >= least_area(behind.size):
        yield _Candidate(behind.view(np.uint8), (1,), whole)  # it has the same outline


def _stability(share: Alpha8, within: Mask) -> float:
    """Return the IoU of a mask at two thresholds, 0..1. share: of each pixel, 0..255."""
    levels = share[within]
    possible = np.count_nonzero(levels > _POSSIBLE)
    return float(np.count_nonzero(levels > _SURE) / possible) if possible else 0.0


def _of_parts(picture: Picture, subject: Labels, parts: Labels) -> Iterator[_Candidate]:
    """Yield the parts of what is behind the subject, then those inside it."""
    size = within_side(picture.width, picture.height, _SIDE)
    steps = colour_steps(resize(picture.rgb, size))
    count = int(subject.max(initial=0))
    panoptic = panoptic_map(picture, subject, parts)
    inside = np.where(subject > 0, parts, np.uint8(0))
    inside = relabel(inside, part_areas(inside), 1, least_area(inside.size))
    for labels, first in ((panoptic, count + 1), (inside, 1)):
        small = resize_labels(labels, size)
        for numbers in mask_members(labels).values():
            if numbers[0] >= first:
                yield _Candidate(labels, numbers, contrast(select(small, numbers) > 0, steps))


def _distinct(candidates: list[_Candidate]) -> list[_Candidate]:
    """Return the candidates of which none is nearly the same as an earlier one, at most 255."""
    kept: list[_Candidate] = []
    packed: list[tuple[int, NDArray[np.uint8]]] = []
    for candidate in candidates:
        height, width = candidate.labels.shape
        small = resize_labels(candidate.mask(), within_side(width, height, _SIDE))
        one = int(np.count_nonzero(small)), np.packbits(small > 0)
        if len(kept) < _MOST and not any(_is_same(one, other) for other in packed):
            kept.append(candidate)
            packed.append(one)
    return kept


def _is_same(one: tuple[int, NDArray[np.uint8]], other: tuple[int, NDArray[np.uint8]]) -> bool:
    """Whether two masks, each an area and packed bits, have an IoU of 0.9 or more."""
    if min(one[0], other[0]) < _SAME * max(one[0], other[0]):
        return False
    common = int(np.bitwise_count(one[1] & other[1]).sum())
    return common >= _SAME * (one[0] + other[0] - common)
