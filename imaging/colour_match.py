"""Colour match: undo the shift of brightness and colour that a model leaves in what it has generated.

What a model draws again around a hole should be what was there before. The slow part of the difference is the
model's own shift, which it leaves inside the hole too.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb
from imaging.resize import block_means

_Field = NDArray[np.float32]
_CELL = 8
"""Width and height, in pixels, of a cell: differences are averaged over its pixels."""
_LARGEST = 48.0
"""Levels. A larger difference is other content, not a shift."""
_SPREAD = 16.0
"""Levels that a cell may differ from the median cell: a shift changes slowly along the ring."""
_LEAST_AGREEING = 0.5
"""Share of the ring's cells that must agree on a shift; with fewer, the content has changed there."""
_DAMPING = 0.02
"""Of a full cell: weight below which the ring is too far away to say more than the mean."""


def match_to_ring(made: Rgb, original: Rgb, ring: Mask) -> Rgb:
    """Return `made` with its shift of colour undone everywhere, as measured in a ring around a hole.

    made, original: the same height and width. ring: True where `made` should be `original`; the pixels
    inside the hole have no say. Corrected are the mean and what changes slowly along the ring, but not where
    the ring shows other content, nor if most of it does: then the result is `made`.
    """
    weight, difference = _cells(made, original, ring)
    agreeing = _agreeing(weight, difference)
    if agreeing is None:
        return made
    field = _slow_field(np.where(agreeing, weight, 0), difference)
    height, width = ring.shape
    size = (weight.shape[1] * _CELL, weight.shape[0] * _CELL)
    shift = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.asarray(np.rint(made + shift).clip(0, 255), np.uint8)


def _cells(made: Rgb, original: Rgb, ring: Mask) -> tuple[_Field, _Field]:
    """Return each cell's share of ring pixels, rows x columns, and their mean difference, x 3."""
    inside = ring[..., None].astype(np.float32)
    difference = (original.astype(np.float32) - made) * inside
    means = block_means(np.dstack([difference, inside]), (_CELL, _CELL))
    weight = np.asarray(means[..., 3], np.float32)
    return weight, np.asarray(means[..., :3] / np.maximum(weight, 1e-6)[..., None], np.float32)


def _agreeing(weight: _Field, difference: _Field) -> Mask | None:
    """Return the cells whose difference is a shift; None if the ring has none, or most show other content."""
    seen = weight > 0
    if not seen.any():
        return None
    median = np.median(difference[seen], axis=0)
    away = np.abs(difference - median).max(axis=2)
    agreeing = seen & (away <= _SPREAD) & (np.abs(difference).max(axis=2) <= _LARGEST)
    enough = np.count_nonzero(agreeing) >= _LEAST_AGREEING * np.count_nonzero(seen)
    return agreeing if enough else None


def _slow_field(weight: _Field, difference: _Field) -> _Field:
    """Return the difference of some cells, spread to all: the mean, then ever finer where the ring is near.

    Each step spreads what the ones before it left, by normalised convolution (Knutsson and Westin 1993).
    """
    mean = np.average(difference.reshape(-1, 3), axis=0, weights=weight.ravel())
    field = np.broadcast_to(mean.astype(np.float32), difference.shape).copy()
    sigma = max(weight.shape) / 4
    while sigma >= 1:
        rest = (difference - field) * weight[..., None]
        near = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        spread = cv2.GaussianBlur(rest, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        # Far from the ring `near` is small, and the coarser step stands.
        field += spread / (near + _DAMPING)[..., None]
        sigma /= 2
    return field
