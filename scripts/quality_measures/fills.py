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
_CLONED, _MOST_APART = 0.85, 22.0
"""A patch is a copy from this correlation on, if its levels differ by no more on average."""
_LEAST_PATCH, _LEAST_CONTRAST, _LARGEST = 10, 10.0, 56
"""Pixels of a patch's shorter side; levels of its deviation; pixels of a face's width while it is looked for."""
_LEAST_COVERED = 0.6
_SAMPLES = 1500
_CLONE_COST = 2.0
_PARTS = (
    (0.1, 0.1, 0.8, 0.8),
    (0.1, 0.2, 0.8, 0.35),
    (0.2, 0.55, 0.6, 0.35),
    (0.05, 0.22, 0.45, 0.32),
    (0.5, 0.22, 0.45, 0.32),
)
"""Parts of a face or logo that are looked for, as shares of its box: all, the eyes, the mouth, either eye."""


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
    return any(
        _is_copied(rgb[window], hole[window], rgb[_slices(box, hole.shape)])
        for box in marked
        if not hole[_slices(box, hole.shape)].any()
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
    head = _resized(head, scale)
    filled = np.where(hole[..., None], _blurred(rgb, hole), rgb)
    top = (rows.start + rows.stop - head.shape[0]) // 2
    left = (columns.start + columns.stop - head.shape[1]) // 2
    place = np.s_[top : top + head.shape[0], left : left + head.shape[1]]
    filled[place] = np.where(hole[place][..., None], head, filled[place])
    return filled


def _is_copied(place: Rgb, inside: Mask, whole: Rgb) -> bool:
    """Whether a part of a face or logo, `whole`, stands in a place; large ones are made smaller first."""
    scale = min(1.0, _LARGEST / whole.shape[1])
    place, small = _resized(place, scale), _resized(whole, scale)
    inside = _resized(inside.astype(np.uint8) * 255, scale) > 127
    return any(_stands_in(place, inside, patch) for patch in _patches(small))


def _patches(whole: Rgb) -> Iterator[Rgb]:
    """Yield the parts of a face or logo, at each size, as they are and mirrored."""
    height, width = whole.shape[:2]
    for left, top, wide, tall in _PARTS:
        part = (left * width, top * height, wide * width, tall * height)
        patch = whole[_slices(part, whole.shape)]
        for scale in _SCALES:
            if min(patch.shape[:2]) * scale >= _LEAST_PATCH:
                sized = _resized(patch, scale)
                yield sized
                yield np.ascontiguousarray(sized[:, ::-1])


def _resized(layer: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return a picture or mask at `scale` times its size, at least one pixel."""
    size = tuple(max(1, round(side * scale)) for side in layer.shape[1::-1])
    return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.uint8)


def _stands_in(place: Rgb, inside: Mask, patch: Rgb) -> bool:
    """Whether a patch is like a part of a place that the hole covers for the most part."""
    rows, columns = patch.shape[:2]
    if rows > place.shape[0] or columns > place.shape[1] or patch.std() < _LEAST_CONTRAST:
        return False
    found = cv2.matchTemplate(place, patch, cv2.TM_CCOEFF_NORMED)
    share = cv2.boxFilter(inside.astype(np.float32), -1, (columns, rows), anchor=(0, 0))
    found[share[: found.shape[0], : found.shape[1]] <= _LEAST_COVERED] = -1
    top, left = np.unravel_index(int(found.argmax()), found.shape)
    there = place[top : top + rows, left : left + columns]
    return bool(found.max() > _CLONED) and float(cv2.absdiff(there, patch).mean()) < _MOST_APART


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
