"""Fill a hole so that nothing is repeated in it that a viewer would notice: faces and separate objects."""

import math
from collections.abc import Iterator

import cv2
import numpy as np

from imaging.masks import bounds, is_thin
from imaging.picture import Mask, Rgb, Window
from imaging.resize import resize, within_side
from imaging.windows import around_holes, grown
from models.errors import NothingToCopyError
from models.roles import INPAINTING, SEGMENTATION, Inpainting, Models
from pipelines.common.subject_parts import faces_of
from pipelines.common.texture_sources import isolated_objects

# Of a hole's longer side: how far around it pixels are analysed. Beyond, nothing is copied.
_REACH = 1.5
_LEAST_REACH = 96  # pixels
# Of the hole's area, or of the known pixels if these are fewer: with less to copy, a fill repeats itself.
_LEAST_SOURCES = 0.25
_FEWEST_SOURCES = 0.01  # of the same: with less, a fill is one colour
# Longer side, in pixels, of the copy on which faces are found. A face of 16 pixels there is found;
# smaller ones are a texture rather than a face.
_FACE_SIDE = 480
# A detector's box holds eyes, nose and mouth. Of the box: the head's extent beyond it.
_HAIR, _EARS, _CHIN = 0.5, 0.3, 0.2
# In sizes of the face's box: half the width of the shoulders, and the length of a trunk.
_SHOULDER, _TRUNK = 1.6, 4.0

FaceBox = tuple[float, float, float, float]
"""x, y, width and height of a detector's box, in pixels."""


def fill_hole(
    rgb: Rgb,
    hole: Mask,
    models: Models,
    never: Mask | None = None,
    unwanted: Mask | None = None,
    wide_contact: float = 1.0,
) -> Rgb:
    """Return `rgb` with `hole` filled by the inpainting model.

    hole: height x width, True is to be filled. never: True is never copied, such as transparent
    pixels. unwanted: True is not copied while anything else is left, such as the subject.
    wide_contact: see `isolated_objects`.

    A model that copies texture gets no pixel of a head with a face, of the body below it, of an object
    that stands alone, or of `unwanted`, and none that is far from the hole. Where that leaves too little
    to copy, these come back in this order: bodies and objects, distant pixels, heads, the unwanted.
    Without a segmentation or face model in the profile, that part of the analysis is left out.
    Raises NothingToCopyError if `hole` and `never` leave no pixel.
    """
    never = np.zeros_like(hole) if never is None else never
    unwanted = never if unwanted is None else never | unwanted
    with models.use(INPAINTING) as inpainting:
        choices: Iterator[tuple[Mask, float]] = iter([(unwanted, _FEWEST_SOURCES)])
        # A thin hole is too narrow to show a copy.
        if copies_texture(inpainting) and not is_thin(hole):
            choices = _choices(rgb, hole, models, never, unwanted, wide_contact)
        needed = min(np.count_nonzero(hole), np.count_nonzero(~hole))
        avoid = next((each for each, share in choices if _left(hole, each) > share * needed), never)
        return inpainting.fill(rgb, hole, avoid if avoid.any() else None)


def copies_texture(inpainting: Inpainting) -> bool:
    """Whether a model copies pieces of the picture (`models.roles.Inpainting`)."""
    return bool(getattr(inpainting, "copies_texture", False))


def _left(hole: Mask, avoid: Mask) -> int:
    """Return how many pixels may be copied."""
    return int(np.count_nonzero(~(hole | avoid)))


def find_faces(rgb: Rgb, models: Models) -> list[FaceBox]:
    """Return the boxes of the faces of `rgb` (x, y, width, height); none without a face model."""
    height, width = rgb.shape[:2]
    small = resize(rgb, within_side(width, height, _FACE_SIDE))
    x, y = width / small.shape[1], height / small.shape[0]
    boxes = (face.rect for face in faces_of(small, models))
    return [(left * x, top * y, wide * x, tall * y) for left, top, wide, tall in boxes]


def head_mask(faces: list[FaceBox], shape: tuple[int, ...]) -> Mask:
    """Return a mask, True on the heads around faces, with their hair: an ellipse each.

    shape: height and width.
    """
    mask = np.zeros(shape[:2], np.uint8)
    for x, y, width, height in faces:
        top, bottom = y - _HAIR * height, y + (1 + _CHIN) * height
        middle = (round(x + width / 2), round((top + bottom) / 2))
        axes = (math.ceil((0.5 + _EARS) * width), math.ceil((bottom - top) / 2))
        cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1)
    return mask > 0


def body_mask(faces: list[FaceBox], hole: Mask) -> Mask:
    """Return a mask, True on the bodies below faces, except those whose face is in the hole."""
    mask = np.zeros_like(hole)
    for x, y, width, height in faces:
        middle = x + width / 2
        face = _box(y + 0.4 * height, y + 0.6 * height, middle - 0.1 * width, middle + 0.1 * width)
        if not hole[face].any():
            left, right = middle - _SHOULDER * width, middle + _SHOULDER * width
            mask[_box(y + 0.9 * height, y + (1 + _TRUNK) * height, left, right)] = True
    return mask


def _box(top: float, bottom: float, left: float, right: float) -> Window:
    """Return the window of whole pixels that holds a box; its part outside the picture is left out."""
    ends = ((top, bottom), (left, right))
    rows, columns = (slice(max(0, math.floor(a)), max(0, math.ceil(b))) for a, b in ends)
    return rows, columns


def _choices(
    rgb: Rgb, hole: Mask, models: Models, never: Mask, unwanted: Mask, wide_contact: float
) -> Iterator[tuple[Mask, float]]:
    """Yield masks of pixels to avoid, the strictest first, and how many pixels must be left to copy.

    That is a share of the hole's area, or of the known pixels if these are fewer.
    """
    window = _near(hole, unwanted) or _known(hole)
    part, part_hole = np.ascontiguousarray(rgb[window]), hole[window]
    faces = find_faces(part, models)
    heads, objects = (np.zeros_like(hole) for _ in range(2))
    heads[window] = head_mask(faces, part.shape)
    if models.offers(SEGMENTATION):
        known_unwanted, people = (unwanted | heads)[window], body_mask(faces, part_hole)
        objects[window] = isolated_objects(
            part, part_hole, known_unwanted, models, wide_contact, people
        )
    distant = _outside(window, hole.shape)
    yield unwanted | heads | objects | distant, _LEAST_SOURCES
    yield unwanted | heads | distant, _LEAST_SOURCES
    yield unwanted | heads, _FEWEST_SOURCES
    yield unwanted, _FEWEST_SOURCES
    yield never | heads, _FEWEST_SOURCES


def _near(hole: Mask, avoid: Mask) -> Window | None:
    """Return a window around all holes, or None if it has too few pixels to copy or is the whole picture."""
    windows = [
        grown(part, max(_LEAST_REACH, round(_REACH * max(_sides(part)))), hole.shape)
        for part in around_holes(hole)
    ]
    rows, columns = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*windows, strict=True)
    )
    window = rows, columns
    sources = ~(hole[window] | avoid[window])
    if sources.size == hole.size:
        return None
    enough = np.count_nonzero(sources) >= _LEAST_SOURCES * np.count_nonzero(hole)
    return window if enough else None


def _sides(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _known(hole: Mask) -> Window:
    """Return the window of all pixels outside the hole, with one pixel more, which shows what meets it."""
    known = bounds(~hole)
    if known is None:
        raise NothingToCopyError("the hole leaves no pixel to copy from")
    return grown(known, 1, hole.shape)


def _outside(window: Window, shape: tuple[int, ...]) -> Mask:
    """Return True outside the window."""
    mask = np.ones(shape, np.bool_)
    mask[window] = False
    return mask
