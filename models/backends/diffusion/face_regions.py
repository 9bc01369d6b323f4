"""Where in a crop each change of a face happens: soft masks from landmarks, or from the face's box."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha
from models.roles import Face

Region = Literal["face", "skin", "eyes", "lower", "hair_line", "hair"]

_SOFT = 0.12
"""Softness of a region's border (sigma), in distances between the eyes."""
_EDGE = 0.04
"""Width of the fade at the crop's borders, as a share of its shorter side."""
_LEAST_ALPHA = 1 / 255
"""Below it no pixel would change."""
_EYES_DOWN, _EYES_APART, _LEAST_UNIT = 0.36, 0.45, 0.36
"""Where in a face's box its eyes lie: of the height, of the width; and the distance of the eyes that a
turned head is given at least, of the height: seen from the side they come close."""
_JAW = slice(0, 17)
_BROWS, _NOSE_BASE = slice(17, 27), slice(31, 36)
_EYES = slice(36, 48)
"""Of the 68 points of the iBUG 300-W mark-up."""

_ELLIPSES: dict[Region, tuple[float, float, float, float]] = {
    "face": (0.0, 0.7, 1.2, 1.7),
    "skin": (0.0, 0.7, 1.1, 1.5),
    "eyes": (0.0, 0.05, 1.35, 0.6),
    "lower": (0.0, 1.6, 1.15, 0.95),
    "hair_line": (0.0, -1.15, 1.4, 0.75),
    "hair": (0.0, 0.1, 2.0, 2.5),
}
"""Centre (across, down) and radii of each region, from the middle of the eyes in distances between them:
proportions of an average adult's head seen from the front."""


@dataclass(frozen=True)
class _Frame:
    """A face's own axes: origin between the eyes, unit the distance between them, across and down."""

    origin: NDArray[np.float64]
    unit: float
    across: NDArray[np.float64]
    down: NDArray[np.float64]

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n x 2, across and down in units) in pixels."""
        axes = np.stack([self.across, self.down])
        placed: NDArray[np.float64] = self.origin + self.unit * points @ axes
        return placed


def soft_mask(face: Face, regions: Iterable[Region], height: int, width: int) -> Alpha:
    """Return the union of regions for a crop of height x width, 1 inside, fading to 0.

    It is 0 at the borders of the crop. Faces with 68 landmarks (iBUG 300-W) are outlined by them,
    others by average proportions within `face.rect`, turned by `face.roll`.
    """
    frame = _frame(face)
    union = np.zeros((height, width), np.float32)
    for region in regions:
        drawn = _drawn(_outline(face, frame, region), height, width)
        if region == "hair":
            drawn *= 1 - _drawn(_outline(face, frame, "skin"), height, width)
        union = np.maximum(union, drawn)
    union = cv2.GaussianBlur(union, (0, 0), max(0.5, _SOFT * frame.unit)).astype(np.float32)
    soft: Alpha = np.clip(union * _fade(height, width), 0, 1).astype(np.float32)
    soft[soft < _LEAST_ALPHA] = 0
    return soft


def _frame(face: Face) -> _Frame:
    x, y, wide, high = face.rect
    if _marked(face):
        points = face.landmarks.astype(np.float64)
        left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        origin = (left + right) / 2
        apart = right - left
        roll = math.atan2(apart[1], apart[0])
        unit = max(math.hypot(*apart), _LEAST_UNIT * high, 1.0)
    else:
        roll = math.radians(face.roll)
        middle = np.array([x + wide / 2, y + high / 2])
        up = (0.5 - _EYES_DOWN) * high
        origin = middle + up * np.array([math.sin(roll), -math.cos(roll)])
        unit = max(_EYES_APART * wide, _LEAST_UNIT * high, 1.0)
    across = np.array([math.cos(roll), math.sin(roll)])
    return _Frame(origin, unit, across, np.array([-across[1], across[0]]))


def _marked(face: Face) -> bool:
    return len(face.landmarks) == 68


def _outline(face: Face, frame: _Frame, region: Region) -> NDArray[np.float64]:
    """Return a region's outline, n x 2, in pixels."""
    if _marked(face) and region in ("face", "skin", "eyes", "lower"):
        return _marked_outline(face.landmarks.astype(np.float64), frame, region)
    across, down, wide, high = _ELLIPSES[region]
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ellipse = np.stack([across + wide * np.cos(turn), down + high * np.sin(turn)], axis=1)
    return frame.place(ellipse)


def _marked_outline(
    points: NDArray[np.float64], frame: _Frame, region: Region
) -> NDArray[np.float64]:
    """Return the hull of the landmarks around a region, moved outwards where they lie within it."""
    jaw, brows = points[_JAW], points[_BROWS]
    down = frame.unit * frame.down
    parts = {
        # The mark-up ends at the brows: a forehead is about one distance of the eyes high.
        "face": [jaw, jaw[4:13] + 0.15 * down, brows - 0.95 * down],
        "skin": [jaw, brows - 0.7 * down],
        "eyes": [brows - 0.1 * down, points[_EYES] + 0.5 * down, jaw[[0, 16]]],
        "lower": [jaw[2:15], jaw[4:13] + 0.35 * down, points[_NOSE_BASE]],
    }[region]
    hull = cv2.convexHull(np.concatenate(parts).astype(np.float32))
    return np.asarray(hull, np.float64).reshape(-1, 2)


def _drawn(outline: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1.0)
    return mask


def _fade(height: int, width: int) -> NDArray[np.float32]:
    """Return 0 at the borders, rising to 1: a region cut off by the crop must leave no seam."""
    ramp = max(1.0, _EDGE * min(height, width))
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])
    fade: NDArray[np.float32] = np.clip(
        np.minimum(rows[:, None], columns[None, :]) / ramp, 0, 1
    ).astype(np.float32)
    return fade
