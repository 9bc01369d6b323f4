"""Change people: edit each face in a crop, so that the rest of the picture does not change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imaging.compositing import over
from imaging.picture import Alpha8, Picture, Rgb, Window
from imaging.resize import resize, working_size
from models.roles import FACE_EDITING, Face, Models

_FACE_MARGIN = 0.9
"""Margin on each side of a face, as a share of its size: room for hair, beard and neck."""


@dataclass(frozen=True)
class Change:
    """The changes to one person.

    face: in pixels of the picture that is edited. actions: the value of each action by name, as
    `pipelines.people.actions.check_action` returns it.
    """

    face: Face
    actions: Mapping[str, str | float]


def create(picture: Picture, models: Models, changes: Sequence[Change], seed: int) -> Picture:
    """Return `picture` with all changes made, one person after the other.

    seed: for the first person; each following person gets the next number. Pixels outside the parts
    of the faces that the actions change stay as they are, and so does the alpha channel.
    """
    rgb = picture.rgb
    with models.use(FACE_EDITING) as model:
        for index, change in enumerate(changes):
            box = _face_box(change.face, picture.width, picture.height)
            if box is None:
                continue
            crop = np.ascontiguousarray(rgb[box])
            size = working_size(crop.shape[1], crop.shape[0], model.sizes)
            edited, alpha = model.edit_face(
                resize(crop, size),
                _face_in_box(change.face, box, size),
                change.actions,
                seed + index,
            )
            pasted = _paste_crop(crop, edited, (alpha * 255).round().astype(np.uint8))
            rgb = rgb.copy()
            rgb[box] = pasted
    return replace(picture, rgb=rgb)


def scale_face(face: Face, factor: float) -> Face:
    """Return `face` in pixels of its picture after that is enlarged by `factor`."""
    x, y, width, height = face.rect
    rect = (x * factor, y * factor, width * factor, height * factor)
    return replace(face, rect=rect, landmarks=face.landmarks * np.float32(factor))


def _face_box(face: Face, width: int, height: int) -> Window | None:
    """Return the box around a face with its margin; None if it lies outside the picture."""
    x, y, face_width, face_height = face.rect
    left, right = x - _FACE_MARGIN * face_width, x + (1 + _FACE_MARGIN) * face_width
    top, bottom = y - _FACE_MARGIN * face_height, y + (1 + _FACE_MARGIN) * face_height
    rows = slice(max(0, round(top)), min(height, round(bottom)))
    columns = slice(max(0, round(left)), min(width, round(right)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    return rows, columns


def _face_in_box(face: Face, box: Window, size: tuple[int, int]) -> Face:
    """Return `face` in pixels of `box` after that is resized to `size` (width, height)."""
    rows, columns = box
    sx = size[0] / (columns.stop - columns.start)
    sy = size[1] / (rows.stop - rows.start)
    x, y, face_width, face_height = face.rect
    rect = ((x - columns.start) * sx, (y - rows.start) * sy, face_width * sx, face_height * sy)
    origin = np.array([columns.start, rows.start], np.float32)
    scale = np.array([sx, sy], np.float32)
    return replace(face, rect=rect, landmarks=(face.landmarks - origin) * scale)


def _paste_crop(crop: Rgb, edited: Rgb, alpha: Alpha8) -> Rgb:
    """Return `crop` with the edited pixels laid over it; both are resized to the size of `crop`."""
    size = (crop.shape[1], crop.shape[0])
    return over(resize(edited, size), resize(alpha, size), crop)
