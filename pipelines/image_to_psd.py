"""Split a picture into the layers of a PSD file."""

from collections.abc import Iterator

import cv2
import numpy as np

from imaging.foreground import estimate_foreground
from imaging.label_map import fill_gaps, mask_members, part_areas
from imaging.masks import automatic_radius, dilate
from imaging.picture import Alpha8, Labels, Mask, Picture, Rgb
from imaging.psd import MAX_SIDE, Layer, write_psd
from imaging.resize import resize, resize_labels, within_side
from models.errors import NothingToCopyError
from models.roles import Models
from pipelines.common.filling import fill_hole
from pipelines.common.subject import FAINT, has_cut_out, subject_alpha
from pipelines.common.subject_parts import faces_of, with_faces
from pipelines.errors import CanvasTooLongError
from pipelines.objects_mask_generator import objects_mask_generator

_OPAQUE = 254  # a pixel of at least this opacity may be in several layers; their opacities add up
_THRESHOLD = 127  # an opacity above it is inside the subject
# A multiple of an automatic mask's growth, because hair and contact shadows extend beyond the matte.
_GROWTH_FACTOR = 2
_ANALYSIS_SIDE = 512  # pixels of the longer side on which parts are checked
# A part of the panoptic map is an object if it meets all of these conditions.
_MIN_AREA, _MAX_AREA = 0.003, 0.2  # of the picture's area: less is noise, more is scenery
_MAX_BORDER_SHARE = 0.01  # of its outline, on the picture's border: more is scenery
_MIN_DISC_SHARE = 0.25  # the largest disc inside it, of its area: less is a thin or ragged shape
_MIN_HULL_SHARE = 0.85  # its area, of its convex hull: less is a patch of colour or a shadow
_RING = 3  # pixels around it that are compared with it
_MIN_GROUND_SHARE = (
    0.75  # of the ring, in one other part: less is a piece among pieces, as of a wall
)
_MIN_CONTRAST = 20.0  # of the mean colours of part and ring, in CIELAB units
_MAX_OBJECTS = 32
_STRIP_PIXELS = 1 << 20


def image_to_psd(picture: Picture, models: Models, labels: Labels | None = None) -> bytes:
    """Return a PSD file with the parts of `picture` as layers.

    labels: the panoptic map, height x width, uint8; None computes it. The layers, from the lowest:

    - "Background": the picture with the subject and all objects removed and filled. It is
      transparent where nothing is left to fill it from, and for a picture whose own alpha cuts out
      its subject. Pixels that are not opaque for another reason, such as rounded corners, stay in it.
    - "Edges": what the picture shows close around the subject and the objects: shadows, and the
      background's share of soft edges.
    - "Object 1" and so on: at most 32 parts of the map that are not of the subject and look like
      objects, each cropped to its bounding box.
    - "Foreground": the subject alone, its colours free of the background. If the map has several parts
      of the subject, each has its layer instead: "Person 1" and so on with a face, else "Subject 1" and
      so on, the largest first.

    Empty layers are left out, except the background. All layers together show the picture with an
    error of at most one level of 255. The merged picture in the file is the picture itself. Raises
    CanvasTooLongError.
    """
    if max(picture.width, picture.height) > MAX_SIDE:
        raise CanvasTooLongError(f"a side of a PSD file has at most {MAX_SIDE} pixels")
    alpha = subject_alpha(picture, models)
    if has_cut_out(picture):
        empty = Layer("Background", np.zeros_like(picture.rgb), np.zeros_like(alpha))
        return write_psd(picture, [empty, *_cropped_layer("Foreground", picture.rgb, alpha)])
    if labels is None:
        labels = objects_mask_generator(picture, models)
    if picture.alpha is not None and picture.alpha.min() == 255:
        picture = Picture(picture.rgb)
    return write_psd(picture, _layers(picture, models, alpha, labels))


def _layers(picture: Picture, models: Models, alpha: Alpha8, labels: Labels) -> Iterator[Layer]:
    """Yield the layers of a picture, the lowest first; one at a time, to save memory."""
    rgb = picture.rgb
    translucent = None if picture.alpha is None else picture.alpha < _OPAQUE
    if translucent is not None:
        alpha, labels = (
            np.where(translucent, 0, each).astype(np.uint8) for each in (alpha, labels)
        )
    growth = automatic_radius(*alpha.shape)
    subject = dilate(alpha > FAINT, _GROWTH_FACTOR * growth)
    objects = _objects(rgb, labels, subject)
    hole = subject | dilate(objects > 0, growth)
    if translucent is not None:
        hole &= ~translucent
    alpha = np.where(subject, alpha, 0).astype(np.uint8)
    background = _background(picture, models, hole)
    yield background
    foreground, edge_rgb = _separate_edge_colours(rgb, alpha, background.rgb)
    matte = _feather(objects)
    edge_mask = hole & (alpha < 255) & (matte < 255)
    yield from _cropped_layer("Edges", edge_rgb, edge_mask * np.uint8(255))
    for number in range(1, int(objects.max(initial=0)) + 1):
        yield from _cropped_layer(f"Object {number}", rgb, np.where(objects == number, matte, 0))
    parts = _subject_parts(labels, alpha)
    for number, name in enumerate(_names(parts, rgb, models), start=1):
        yield from _cropped_layer(name, foreground, np.where(parts == number, alpha, 0))


def _subject_parts(labels: Labels, alpha: Alpha8) -> Labels:
    """Return the part of the subject of each pixel that is not fully transparent, from 1; else 0.

    The map's first parts are the subject's (`mask_members`); they count if most of their pixels are in it
    still. A soft edge, and a speck that is no part of its own, belongs to the nearest part.
    """
    areas, inside = part_areas(labels), part_areas(labels, alpha > _THRESHOLD)
    first = max(mask_members(labels).values(), key=len, default=())
    selected = [part for part in first if 2 * inside[part] > areas[part]]
    numbers = np.zeros(256, np.uint8)
    numbers[selected] = np.arange(1, len(selected) + 1)
    parts = np.asarray(cv2.LUT(labels, numbers), np.uint8)
    fill_gaps(parts)
    return np.where(alpha > 0, np.maximum(parts, 1), 0).astype(np.uint8)


def _names(parts: Labels, rgb: Rgb, models: Models) -> list[str]:
    """Return the name of the layer of each part of the subject."""
    count = int(parts.max(initial=0))
    if count < 2:
        return ["Foreground"] * count
    people = with_faces(parts, faces_of(rgb, models))
    names, numbers = [], {"Person": 0, "Subject": 0}
    for number in range(1, count + 1):
        kind = "Person" if number in people else "Subject"
        numbers[kind] += 1
        names.append(f"{kind} {numbers[kind]}")
    return names


def _background(picture: Picture, models: Models, hole: Mask) -> Layer:
    """Return the background's layer: the hole filled, or transparent if nothing is left to fill from."""
    rgb, own = picture.rgb, picture.alpha
    opacity = np.full(hole.shape, 255, np.uint8) if own is None else own.copy()
    if hole.any():
        try:
            rgb = fill_hole(rgb, hole, models, None if own is None else own == 0)
        except NothingToCopyError:
            opacity[hole] = 0
    return Layer("Background", rgb, opacity)


def _objects(rgb: Rgb, labels: Labels, subject: Mask) -> Labels:
    """Return a map of the parts that look like objects: 1 is the largest, 0 is everything else.

    `_looks_like_object` decides. The subject's pixels are 0.
    """
    height, width = labels.shape
    rest = np.where(subject, 0, labels).astype(np.uint8)
    size = within_side(width, height, _ANALYSIS_SIDE)
    small, colours = resize_labels(rest, size), resize(rgb, size)
    areas = np.bincount(small.ravel(), minlength=256)[1:] / small.size
    order = 1 + np.argsort(-areas, kind="stable")
    selected = [
        part
        for part in order
        if _looks_like_object(small == part) and _stands_out(small, part, colours)
    ]
    numbers = np.zeros(256, np.uint8)
    numbers[selected[:_MAX_OBJECTS]] = np.arange(1, len(selected[:_MAX_OBJECTS]) + 1)
    return cv2.LUT(rest, numbers).astype(np.uint8, copy=False)


def _looks_like_object(part: Mask) -> bool:
    """Whether a part is compact, of medium size and not cut by the picture's border."""
    area = np.count_nonzero(part)
    if not _MIN_AREA <= area / part.size <= _MAX_AREA:
        return False
    framed = np.pad(part, 1).view(np.uint8)
    outlines, _ = cv2.findContours(framed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = sum(len(points) for points in outlines)
    border_pixels = sum(
        np.count_nonzero(side) for side in (part[0], part[-1], part[:, 0], part[:, -1])
    )
    radius = cv2.distanceTransform(framed, cv2.DIST_L2, 5).max()
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(outlines)))
    return bool(
        border_pixels <= _MAX_BORDER_SHARE * outline
        and np.pi * radius**2 >= _MIN_DISC_SHARE * area
        and area >= _MIN_HULL_SHARE * hull
    )


def _stands_out(labels: Labels, number: int, rgb: Rgb) -> bool:
    """Whether a part lies on one other part, as a thing on its ground, in another colour."""
    part = labels == number
    ring = dilate(part, _RING) & ~part
    neighbours = np.bincount(labels[ring], minlength=256)
    if neighbours.max() < _MIN_GROUND_SHARE * neighbours.sum():
        return False
    means = np.array([[rgb[where].mean(axis=0) / 255 for where in (part, ring)]], np.float32)
    inner, outer = cv2.cvtColor(means, cv2.COLOR_RGB2LAB)[0]
    return bool(np.linalg.norm(inner - outer) >= _MIN_CONTRAST)


def _feather(objects: Labels) -> Alpha8:
    """Return the objects' opacity, 0..255: it falls to 0 along the inside of their outline."""
    inside = (objects > 0) * np.uint8(255)
    ramp = np.clip(2 * np.arange(256) - 255, 0, 255).astype(np.uint8)
    matte = cv2.LUT(cv2.GaussianBlur(inside, (5, 5), 0), ramp)
    return np.minimum(matte, inside).astype(np.uint8, copy=False)


def _separate_edge_colours(rgb: Rgb, alpha: Alpha8, filled: Rgb) -> tuple[Rgb, Rgb]:
    """Return the colours of the subject and of the background, separated where `alpha` is partial.

    filled: the picture with the subject removed. The first result laid over the second with `alpha`
    gives `rgb` again. Where the subject is more opaque, the background's colour is less certain and
    moves towards `filled`.
    """
    foreground, background = estimate_foreground(rgb, alpha), rgb.copy()
    rows = max(1, _STRIP_PIXELS // rgb.shape[1])
    for top in range(0, len(rgb), rows):
        strip = slice(top, top + rows)
        soft = (alpha[strip] > 0) & (alpha[strip] < 255)
        image = rgb[strip][soft].astype(np.float32)
        share = alpha[strip][soft].astype(np.float32)[:, None] / 255
        estimate = np.clip((image - share * foreground[strip][soft]) / (1 - share), 0, 255)
        estimate += share**2 * (filled[strip][soft] - estimate)
        # Outside these bounds no colour of the subject, 0..255, would reproduce the picture.
        low, high = (image - 255 * share) / (1 - share), image / (1 - share)
        estimate = np.clip(np.rint(np.clip(estimate, low, high)), 0, 255)
        background[strip][soft] = estimate
        foreground[strip][soft] = np.clip(np.rint((image - (1 - share) * estimate) / share), 0, 255)
    return foreground, background


def _cropped_layer(name: str, rgb: Rgb, alpha: Alpha8) -> Iterator[Layer]:
    """Yield the layer of the pixels with alpha, cropped to their bounding box, or nothing."""
    left, top, width, height = cv2.boundingRect(alpha)
    if width:
        box = np.s_[top : top + height, left : left + width]
        visible = np.where(alpha[box][..., None] > 0, rgb[box], 0).astype(np.uint8)
        yield Layer(name, visible, alpha[box], left, top)
