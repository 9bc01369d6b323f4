"""Regions of a face as soft masks, from its landmarks or its box."""

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
"""Softness (sigma) of a region's edge, in distances between the eyes."""
_EDGE = 0.04
"""Width of the fade at the crop's borders, as a share of its shorter side."""
_LEAST_ALPHA = 1 / 255
"""Smaller values become 0: they would not change a pixel."""
_EYES_DOWN, _EYES_APART, _LEAST_UNIT = 0.39, 0.45, 0.34
"""Position of the eyes in a face's box, as a share of its height; their distance, as a share of its
width; and the least distance, as a share of its height, because the eyes of a turned head are
closer together. Medians of CenterFace's boxes and landmarks on 80 photographed faces."""
_FIVE = 5
"""Number of landmarks of the detectors: eyes, nose, corners of the mouth."""
_JAW = slice(0, 17)
_BROWS, _NOSE_BASE = slice(17, 27), slice(31, 36)
_EYES = slice(36, 48)
"""Indices into the 68 landmarks of iBUG 300-W."""

_ELLIPSES: dict[Region, tuple[float, float, float, float]] = {
    "face": (0.0, 0.7, 1.2, 1.7),
    "skin": (0.0, 0.7, 1.1, 1.5),
    "eyes": (0.0, 0.05, 1.35, 0.6),
    "lower": (0.0, 1.6, 1.15, 0.95),
    "hair_line": (0.0, -1.15, 1.4, 0.75),
    "hair": (0.0, 0.1, 2.0, 2.5),
}
"""Centre and radii (across, down) of each region, in distances between the eyes, with the origin
between the eyes. These are the proportions of an average adult's head seen from the front."""


@dataclass(frozen=True)
class _Frame:
    """A face's own coordinates.

    The origin is between the eyes; the unit is the distance between them in pixels. across, down:
    unit vectors of its axes.
    """

    origin: NDArray[np.float64]
    unit: float
    across: NDArray[np.float64]
    down: NDArray[np.float64]

    def place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert points (n x 2: across and down, in units) to pixels."""
        axes = np.stack([self.across, self.down])
        pixels: NDArray[np.float64] = self.origin + self.unit * points @ axes
        return pixels


def soft_mask(face: Face, regions: Iterable[Region], height: int, width: int) -> Alpha:
    """Return the union of regions as height x width, float32: 1 inside, with a soft edge to 0 outside.

    It is 0 at the borders of the crop. With 68 landmarks (iBUG 300-W), regions follow them.
    Otherwise they follow the average proportions: around the eyes if there are five landmarks (see
    `models.roles.Face`), else in `face.rect`, both rotated by `face.roll`.
    """
    frame = _frame(face)
    union = np.zeros((height, width), np.float32)
    for region in regions:
        mask = _filled(_outline(face, frame, region), height, width)
        if region == "hair":
            mask *= 1 - _filled(_outline(face, frame, "skin"), height, width)
        union = np.maximum(union, mask)
    union = cv2.GaussianBlur(union, (0, 0), max(0.5, _SOFT * frame.unit)).astype(np.float32)
    soft: Alpha = np.clip(union * _fade(height, width), 0, 1).astype(np.float32)
    soft[soft < _LEAST_ALPHA] = 0
    return soft


def _frame(face: Face) -> _Frame:
    _, _, wide, high = face.rect
    if _has_68_landmarks(face):
        points = face.landmarks.astype(np.float64)
        left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        origin = (left + right) / 2
        apart = right - left
        roll = math.atan2(apart[1], apart[0])
        unit = max(math.hypot(*apart), _LEAST_UNIT * high, 1.0)
    else:
        roll = math.radians(face.roll)
        origin = _between_the_eyes(face, roll)
        unit = max(_EYES_APART * wide, _LEAST_UNIT * high, 1.0)
    across = np.array([math.cos(roll), math.sin(roll)])
    return _Frame(origin, unit, across, np.array([-across[1], across[0]]))


def _between_the_eyes(face: Face, roll: float) -> NDArray[np.float64]:
    """Return the point between the eyes. roll: in radians."""
    if len(face.landmarks) == _FIVE:
        return face.landmarks[:2].mean(axis=0).astype(np.float64)
    x, y, wide, high = face.rect
    up = (0.5 - _EYES_DOWN) * high
    middle = np.array([x + wide / 2, y + high / 2])
    return np.asarray(middle + up * np.array([math.sin(roll), -math.cos(roll)]), np.float64)


def _has_68_landmarks(face: Face) -> bool:
    return len(face.landmarks) == 68


def _outline(face: Face, frame: _Frame, region: Region) -> NDArray[np.float64]:
    """Return a region's outline, n x 2, in pixels."""
    if _has_68_landmarks(face) and region in ("face", "skin", "eyes", "lower"):
        return _landmark_outline(face.landmarks.astype(np.float64), frame, region)
    across, down, wide, high = _ELLIPSES[region]
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ellipse = np.stack([across + wide * np.cos(turn), down + high * np.sin(turn)], axis=1)
    return frame.place(ellipse)


def _landmark_outline(
    points: NDArray[np.float64], frame: _Frame, region: Region
) -> NDArray[np.float64]:
    """Return the convex hull of a region's landmarks.

    Landmarks inside the region are moved outwards first.
    """
    jaw, brows = points[_JAW], points[_BROWS]
    down = frame.unit * frame.down
    parts = {
        # There are no landmarks above the brows. A forehead is about as high as the distance of the eyes.
        "face": [jaw, jaw[4:13] + 0.15 * down, brows - 0.95 * down],
        "skin": [jaw, brows - 0.7 * down],
        "eyes": [brows - 0.1 * down, points[_EYES] + 0.5 * down, jaw[[0, 16]]],
        "lower": [jaw[2:15], jaw[4:13] + 0.35 * down, points[_NOSE_BASE]],
    }[region]
    hull = cv2.convexHull(np.concatenate(parts).astype(np.float32))
    return np.asarray(hull, np.float64).reshape(-1, 2)


def _filled(outline: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """Return height x width: 1 inside the outline, 0 outside."""
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1.0)
    return mask


def _fade(height: int, width: int) -> NDArray[np.float32]:
    """Return height x width: 0 at the borders, rising to 1, so that a region at the crop's edge has no seam."""
    ramp = max(1.0, _EDGE * min(height, width))
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])
    fade: NDArray[np.float32] = np.clip(
        np.minimum(rows[:, None], columns[None, :]) / ramp, 0, 1
    ).astype(np.float32)
    return fade
