"""A score for the fill of a hole that needs no true picture, and fills that are known to be bad.

The score adds what a person sees first: a seam, another texture than round the hole, colours that are not
round the hole, and a copied face or logo. It is shown only where it ranks the bad fills behind the fill that
is measured.
"""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb
from scripts.quality_measures.boxes import Box

_SCALES = (0.6, 0.75, 0.87, 1.0, 1.15, 1.35)
_CLONED = 0.8
"""Correlation from which a patch is a copy."""
_LEAST_PATCH, _LEAST_CONTRAST = 14, 10.0
_SAMPLES = 1500
_CLONE_COST = 2.0
_PARTS = ((0.1, 0.15, 0.8, 0.4), (0.1, 0.45, 0.8, 0.45), (0.1, 0.1, 0.8, 0.8))
"""Parts of a face or logo that are looked for, as shares of its box: upper half, lower half, all."""


def fill_score(rgb: Rgb, hole: Mask, marked: Sequence[Box] = ()) -> float:
    """Return how bad a fill looks; 0 is best. marked: boxes of faces and logos outside the hole."""
    cost = seam(rgb, hole) + texture_difference(rgb, hole) + strange_colours(rgb, hole)
    return cost + (_CLONE_COST if cloned(rgb, hole, marked) else 0.0)


def seam(rgb: Rgb, hole: Mask) -> float:
    """Return the logarithm of the gradient on the hole's edge, relative to that around the hole; 0 or more."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edge = _grown(hole, 1) & ~_shrunk(hole, 1)
    around = ring(hole) & ~_grown(hole, 2)
    return max(0.0, float(np.log((gradient[edge].mean() + 8) / (gradient[around].mean() + 8))))


def texture_difference(rgb: Rgb, hole: Mask) -> float:
    """Return the absolute logarithm of the fine detail in the hole, relative to that around it."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    inside, around = _shrunk(hole, 3), ring(hole) & ~_grown(hole, 2)
    return abs(float(np.log((detail[inside].mean() + 1) / (detail[around].mean() + 1))))


def strange_colours(rgb: Rgb, hole: Mask) -> float:
    """Return the distance of the hole's colours from the nearest around it, in tens of CIELAB units (90 %)."""
    lab = np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    inside, around = _sample(lab[hole]), _sample(lab[ring(hole)])
    distance = np.linalg.norm(inside[:, None] - around[None], axis=2).min(1)
    return float(np.quantile(distance, 0.9)) / 10


def cloned(rgb: Rgb, hole: Mask, marked: Sequence[Box]) -> bool:
    """Whether a part of a face or logo stands in the hole again, at any of six sizes, or mirrored.

    A box that the hole touches is not looked for: its rest may rightly go on inside.
    """
    window = _box_of(hole)
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    place = grey[window]
    inside = hole[window]
    return any(
        _stands_in(place, inside, patch)
        for box in marked
        if not hole[_slices(box, hole.shape)].any()
        for patch in _patches(grey, box)
    )


def ring(hole: Mask) -> Mask:
    """Return the surroundings of a hole: as wide as a third of the hole's diameter, at least 8 pixels."""
    width = max(8, round(np.sqrt(np.count_nonzero(hole)) / 3))
    return _grown(hole, width) & ~hole


def bad_fills(rgb: Rgb, hole: Mask, marked: Sequence[Box]) -> Iterator[tuple[str, Rgb]]:
    """Yield fills that everyone would send back; the mirrored head only if a face or logo is marked."""
    for name, fill in _BAD.items():
        yield name, np.where(hole[..., None], fill(rgb, hole), rgb)
    apart = [box for box in marked if not hole[_slices(box, hole.shape)].any()]
    if apart:
        yield "mirrored head", _mirrored_head(rgb, hole, max(apart, key=lambda box: box[2]))


def _black(rgb: Rgb, hole: Mask) -> Rgb:
    return np.zeros_like(rgb)


def _blurred(rgb: Rgb, hole: Mask) -> Rgb:
    """Return the colours around the hole, smeared across it."""
    sigma = max(4.0, np.sqrt(np.count_nonzero(hole)) / 2)
    known = (~hole).astype(np.float32)
    total = cv2.GaussianBlur(rgb * known[..., None], (0, 0), sigma)
    weight = cv2.GaussianBlur(known, (0, 0), sigma)
    return (total / np.maximum(weight, 1e-3)[..., None]).clip(0, 255).astype(np.uint8)


def _shifted(rgb: Rgb, hole: Mask) -> Rgb:
    """Return the photograph, shifted by a third of its sides."""
    return np.roll(rgb, (rgb.shape[0] // 3, rgb.shape[1] // 3), (0, 1))


def _noise(rgb: Rgb, hole: Mask) -> Rgb:
    return np.random.default_rng(1).integers(0, 256, rgb.shape).astype(np.uint8)


_BAD: dict[str, Callable[[Rgb, Mask], Rgb]] = {
    "black": _black,
    "blurred": _blurred,
    "shifted block": _shifted,
    "noise": _noise,
}


def _mirrored_head(rgb: Rgb, hole: Mask, box: Box) -> Rgb:
    """Return the picture with a mirrored face in its hole, as large as the hole lets it be, at most its size."""
    rows, columns = _box_of(hole)
    head = rgb[_slices(box, hole.shape)][:, ::-1]
    scale = min(
        1.0,
        (rows.stop - rows.start) / head.shape[0],
        (columns.stop - columns.start) / head.shape[1],
    )
    head = np.asarray(
        cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    filled = np.where(hole[..., None], _blurred(rgb, hole), rgb)
    top = (rows.start + rows.stop - head.shape[0]) // 2
    left = (columns.start + columns.stop - head.shape[1]) // 2
    place = np.s_[top : top + head.shape[0], left : left + head.shape[1]]
    filled[place] = np.where(hole[place][..., None], head, filled[place])
    return filled


def _patches(grey: NDArray[np.uint8], box: Box) -> Iterator[NDArray[np.uint8]]:
    """Yield parts of a face or logo, at each size, as they are and mirrored."""
    x, y, width, height = box
    for left, top, wide, tall in _PARTS:
        part = (x + left * width, y + top * height, wide * width, tall * height)
        patch = grey[_slices(part, grey.shape)]
        for scale in _SCALES:
            if min(patch.shape) * scale >= _LEAST_PATCH:
                sized = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                yield sized.astype(np.uint8)
                yield np.ascontiguousarray(sized[:, ::-1]).astype(np.uint8)


def _stands_in(place: NDArray[np.uint8], inside: Mask, patch: NDArray[np.uint8]) -> bool:
    """Whether a patch correlates with a part of a place that the hole covers for the most part."""
    rows, columns = patch.shape
    if rows > place.shape[0] or columns > place.shape[1] or patch.std() < _LEAST_CONTRAST:
        return False
    found = cv2.matchTemplate(place, patch, cv2.TM_CCOEFF_NORMED)
    share = cv2.boxFilter(inside.astype(np.float32), -1, (columns, rows), anchor=(0, 0))
    covered = share[: found.shape[0], : found.shape[1]] > 0.7
    return bool((found[covered] > _CLONED).any())


def _box_of(hole: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _slices(box: Box, shape: Sequence[int]) -> tuple[slice, slice]:
    x, y, width, height = (round(side) for side in box)
    return (
        slice(max(0, y), min(shape[0], y + height)),
        slice(max(0, x), min(shape[1], x + width)),
    )


def _sample(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    return colours[:: max(1, len(colours) // _SAMPLES)]


def _grown(mask: Mask, pixels: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _shrunk(mask: Mask, pixels: int) -> Mask:
    return ~_grown(~mask, pixels)
