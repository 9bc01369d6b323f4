"""How well each change of a person may be expected to come out, told from what the face shows."""

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

Prospect = Literal["low", "high"]
Oracle = dict[str, dict[str, Prospect]]

_SHARPNESS_SIDE = 128


@dataclass(frozen=True)
class Sight:
    """What of a face bears on changing it.

    width: pixels, the lesser of the box's sides. yaw, roll: degrees, without sign. sharpness: see
    `sharpness`. headroom: the room above the face's box within the picture, in box heights; hair
    takes about half of one. inside: the share of the box that lies within the picture, 0..1.
    """

    width: float
    yaw: float
    roll: float
    sharpness: float
    headroom: float
    inside: float


@dataclass(frozen=True)
class Needs:
    """What a change needs to see: the most yaw and roll, the least of all else."""

    width: float
    yaw: float
    roll: float
    sharpness: float
    headroom: float = 0
    inside: float = 0.9

    def met_by(self, sight: Sight) -> bool:
        """Whether a change with these needs has a high prospect."""
        return (
            sight.width >= self.width
            and sight.yaw <= self.yaw
            and sight.roll <= self.roll
            and sight.sharpness >= self.sharpness
            and sight.headroom >= self.headroom
            and sight.inside >= self.inside
        )


# Redraws skin and features as a whole.
_WHOLE_FACE = Needs(width=96, yaw=35, roll=40, sharpness=0.008)
NEEDS: Mapping[str, Needs] = {
    "age": _WHOLE_FACE,
    # The jaw must be in the picture and in sight on both sides.
    "Beard": Needs(width=96, yaw=35, roll=40, sharpness=0.008, inside=0.98),
    "diversity": _WHOLE_FACE,
    # Lids and corners of the mouth are small, and both halves must move alike.
    "expression": Needs(width=128, yaw=25, roll=30, sharpness=0.02),
    "gender": _WHOLE_FACE,
    # Both lenses must face the viewer, their rims are fine lines.
    "glasses": Needs(width=96, yaw=25, roll=30, sharpness=0.02),
    # The forehead up to the hair must be in the picture and not turned away.
    "hair_line": Needs(width=80, yaw=35, roll=40, sharpness=0.008, headroom=0.3),
    # Hair is coloured as an area: size, pose and focus matter little, its presence does.
    "haircolor": Needs(width=48, yaw=60, roll=60, sharpness=0, headroom=0.5, inside=0.7),
}
"""The published sample's oracle has these keys and no `makeup`. The bounds are this project's own
judgement; sharpness is calibrated on portraits (see `sharpness`)."""

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
"""The expressions of the published sample's oracle, which are not those that it offers."""


def oracle_for(face: Face, rgb: Rgb) -> Oracle:
    """Return the prospect of each change of a face of `rgb`, "low" or "high", in the wire's shape."""
    sight = see(face, rgb)
    oracle: Oracle = {}
    for action, needs in NEEDS.items():
        prospect: Prospect = "high" if needs.met_by(sight) else "low"
        oracle[action] = dict.fromkeys(_keys(action), prospect)
    return oracle


def _keys(action: str) -> tuple[str, ...]:
    """Return the keys of an action's prospects, as the published sample has them."""
    if action == "expression":
        return EXPRESSIONS
    if action == "diversity":
        return tuple(sorted(set(ACTIONS["diversity"].words) - {"original", "unsplash"}))
    return (action,)


def see(face: Face, rgb: Rgb) -> Sight:
    """Measure what a face of `rgb` shows."""
    x, y, width, height = face.rect
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(rgb.shape[1], x + width), min(rgb.shape[0], y + height)
    inside = max(0.0, right - left) * max(0.0, bottom - top) / max(width * height, 1e-6)
    crop = rgb[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)]
    return Sight(
        width=min(width, height),
        yaw=abs(face.yaw),
        roll=abs(face.roll),
        sharpness=sharpness(crop) if inside > 0 else 0.0,
        headroom=max(0.0, y) / max(height, 1e-6),
        inside=inside,
    )


def sharpness(crop: Rgb) -> float:
    """Return the variance of the Laplacian of a face at 128 px, over the variance of its luma.

    The Laplacian's variance is the focus measure of Pech-Pacheco et al., "Diatom autofocusing in
    brightfield microscopy" (ICPR 2000); the size makes faces of all sizes comparable, the division
    takes away how bright and contrasty the light is. Sharp portraits give 0.06 to 0.45; blurred by
    1 % of the face's width 0.01 to 0.03, by 2 %, plainly out of focus, 0.003 to 0.006.
    """
    height, width = crop.shape[:2]
    size = scaled(width, height, _SHARPNESS_SIDE / max(height, width))
    # In float, or rounding would add edges of its own to a soft face.
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = resize(gray, size, cv2.INTER_LINEAR)
    # A crop of one tone has no edges to judge by: at least one level of variance is assumed.
    return float(cv2.Laplacian(luma, cv2.CV_32F).var() / max(float(luma.var()), 1.0))
