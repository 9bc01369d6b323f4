"""People changed: each face in a crop of its own, so that nothing else of the picture is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imaging.compositing import over
from imaging.picture import Alpha8, Picture, Rgb, Window
from imaging.resize import resize, working_size
from models.roles import FACE_EDITING, Face, Models

_AROUND = 0.9
"""How much of a face's size is shown on each side of it: room for hair, beard and neck."""


@dataclass(frozen=True)
class Change:
    """What is to change about one person; the face in pixels of the picture that is edited."""

    face: Face
    actions: Mapping[str, str | float]


def create(picture: Picture, models: Models, changes: Sequence[Change], seed: int) -> Picture:
    """Make all changes, one person after the other.

    Outside the parts of each face that its actions change every pixel stays, alpha everywhere.
    """
    rgb = picture.rgb
    with models.use(FACE_EDITING) as model:
        for index, change in enumerate(changes):
            box = _around(change.face, picture.width, picture.height)
            if box is None:
                continue
            part = np.ascontiguousarray(rgb[box])
            size = working_size(part.shape[1], part.shape[0], model.sizes)
            made, alpha = model.edit_face(
                resize(part, size), _within(change.face, box, size), change.actions, seed + index
            )
            changed = _back(part, made, (alpha * 255).round().astype(np.uint8))
            rgb = rgb.copy()
            rgb[box] = changed
    return replace(picture, rgb=rgb)


def scaled(face: Face, factor: float) -> Face:
    """Return a face in pixels of its picture enlarged by `factor`."""
    x, y, width, height = face.rect
    rect = (x * factor, y * factor, width * factor, height * factor)
    return replace(face, rect=rect, landmarks=face.landmarks * np.float32(factor))


def _around(face: Face, width: int, height: int) -> Window | None:
    """Return the box around a face with room to change it; None where nothing of it is visible."""
    x, y, wide, high = face.rect
    left, right = x - _AROUND * wide, x + (1 + _AROUND) * wide
    top, bottom = y - _AROUND * high, y + (1 + _AROUND) * high
    rows = slice(max(0, round(top)), min(height, round(bottom)))
    columns = slice(max(0, round(left)), min(width, round(right)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    return rows, columns


def _within(face: Face, box: Window, size: tuple[int, int]) -> Face:
    """Return a face in pixels of a box that was brought to width x height."""
    rows, columns = box
    sx = size[0] / (columns.stop - columns.start)
    sy = size[1] / (rows.stop - rows.start)
    x, y, wide, high = face.rect
    rect = ((x - columns.start) * sx, (y - rows.start) * sy, wide * sx, high * sy)
    origin = np.array([columns.start, rows.start], np.float32)
    stretch = np.array([sx, sy], np.float32)
    return replace(face, rect=rect, landmarks=(face.landmarks - origin) * stretch)


def _back(part: Rgb, made: Rgb, alpha: Alpha8) -> Rgb:
    """Lay a changed crop over its own place, at that place's size."""
    size = (part.shape[1], part.shape[0])
    return over(resize(made, size), resize(alpha, size), part)
