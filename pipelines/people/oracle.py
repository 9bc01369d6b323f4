"""The oracle: rate from measurements of a face how well each change is likely to work on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from imaging.picture import Rgb
from imaging.resize import resize, scaled
from models.roles import Face
from pipelines.people.actions import ACTIONS

Rating = Literal["low", "high"]
Oracle = dict[str, dict[str, Rating]]

_SHARPNESS_SIDE = 154
"""Longer side, in pixels, of a face's box when its sharpness is measured: brows to chin are then 128."""


@dataclass(frozen=True)
class FaceMeasurements:
    """The measurements of a face that decide how well it can be changed.

    Its box is that of detectors trained on WIDER FACE: hairline to chin, three quarters as wide as
    high. width: pixels of the shorter side of the box. yaw, roll: degrees, without sign.
    sharpness: see `sharpness`. headroom: height of the picture above the box, in box heights; hair
    takes about a quarter of one. inside: the share of the box within the picture, 0..1.
    """

    width: float
    yaw: float
    roll: float
    sharpness: float
    headroom: float
    inside: float


@dataclass(frozen=True)
class Requirements:
    """The limits for a high rating: yaw and roll are maxima, all others are minima."""

    width: float
    yaw: float
    roll: float
    sharpness: float
    headroom: float = 0
    inside: float = 0.9

    def met_by(self, measured: FaceMeasurements) -> bool:
        """Whether measurements of a face are within these limits."""
        return (
            measured.width >= self.width
            and measured.yaw <= self.yaw
            and measured.roll <= self.roll
            and measured.sharpness >= self.sharpness
            and measured.headroom >= self.headroom
            and measured.inside >= self.inside
        )


# For changes that redraw the whole face.
_WHOLE_FACE = Requirements(width=88, yaw=35, roll=40, sharpness=0.008)
REQUIREMENTS: Mapping[str, Requirements] = {
    "age": _WHOLE_FACE,
    # The jaw must be inside the picture and visible on both sides.
    "Beard": Requirements(width=88, yaw=35, roll=40, sharpness=0.008, inside=0.98),
    "diversity": _WHOLE_FACE,
    # Eyelids and corners of the mouth are small, and both halves of the face must move alike.
    "expression": Requirements(width=120, yaw=25, roll=30, sharpness=0.02),
    "gender": _WHOLE_FACE,
    # Both lenses must be visible from the front, and their rims are fine lines.
    "glasses": Requirements(width=88, yaw=25, roll=30, sharpness=0.02),
    # The forehead up to the hair must be inside the picture and not turned away.
    "hair_line": Requirements(width=74, yaw=35, roll=40, sharpness=0.008, headroom=0.12),
    # Hair is coloured as an area, so it must be inside the picture; size, pose and focus matter less.
    "haircolor": Requirements(width=44, yaw=60, roll=60, sharpness=0, headroom=0.28, inside=0.7),
}
"""The keys are those of the published sample's oracle, which has no `makeup`. The limits are this
project's own choice; those of sharpness are calibrated on portraits (see `sharpness`)."""

EXPRESSIONS = (
    "angry",
    "calm",
    "contempt",
    "disgusted",
    "dreaming",
    "fear",
    "happy",
    "surprised",
)
"""The expressions of the published sample's oracle; they differ from those that its actions offer."""


def oracle_for(face: Face, rgb: Rgb) -> Oracle:
    """Return a rating of each change of a face, "low" or "high", as the API writes it.

    face: in pixels of `rgb`. rgb: the whole picture, height x width x 3, uint8.
    """
    measured = measure(face, rgb)
    oracle: Oracle = {}
    for action, requirements in REQUIREMENTS.items():
        rating: Rating = "high" if requirements.met_by(measured) else "low"
        oracle[action] = dict.fromkeys(_keys(action), rating)
    return oracle


def _keys(action: str) -> tuple[str, ...]:
    """Return the keys of an action's ratings, as the published sample has them."""
    if action == "expression":
        return EXPRESSIONS
    if action == "diversity":
        return tuple(sorted(set(ACTIONS["diversity"].words) - {"original", "unsplash"}))
    return (action,)


def measure(face: Face, rgb: Rgb) -> FaceMeasurements:
    """Return the measurements of a face of `rgb`."""
    x, y, width, height = face.rect
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(rgb.shape[1], x + width), min(rgb.shape[0], y + height)
    inside = max(0.0, right - left) * max(0.0, bottom - top) / max(width * height, 1e-6)
    crop = rgb[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)]
    return FaceMeasurements(
        width=min(width, height),
        yaw=abs(face.yaw),
        roll=abs(face.roll),
        sharpness=sharpness(crop) if inside > 0 else 0.0,
        headroom=max(0.0, y) / max(height, 1e-6),
        inside=inside,
    )


def sharpness(crop: Rgb) -> float:
    """Return how sharp a face is: the variance of its Laplacian divided by the variance of its luma.

    crop: the face, height x width x 3, uint8. It is resized to 154 pixels on the longer side, so
    that faces of all sizes are comparable; the division removes the influence of brightness and
    contrast. The variance of the Laplacian is the focus measure of Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy" (ICPR 2000). Of 31 photographed faces,
    nine tenths have 0.02 to 0.16. Blurred by 1 % of the box's width they have 0.005 to 0.02; by 2 %,
    clearly out of focus, 0.002 to 0.006.
    """
    height, width = crop.shape[:2]
    size = scaled(width, height, _SHARPNESS_SIDE / max(height, width))
    # In float, because rounding to integers would add edges to a soft face.
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = resize(gray, size, cv2.INTER_LINEAR)
    # A crop of nearly one colour has no edges to measure: its variance counts as at least 1.
    return float(cv2.Laplacian(luma, cv2.CV_32F).var() / max(float(luma.var()), 1.0))
