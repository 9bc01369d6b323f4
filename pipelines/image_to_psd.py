"""Takes a picture apart into the layers of a PSD file."""

from collections.abc import Iterator

import cv2
import numpy as np

from imaging.foreground import estimate_foreground
from imaging.masks import automatic_radius, dilate
from imaging.picture import Alpha8, Labels, Mask, Picture, Rgb
from imaging.psd import MAX_SIDE, Layer, write_psd
from imaging.resize import resize_labels, within_side
from models.errors import NothingToCopyError
from models.roles import INPAINTING, Models
from pipelines.common.subject import subject_alpha
from pipelines.errors import CanvasTooLongError
from pipelines.objects_mask_generator import objects_mask_generator

_FAINT = 12  # 5 % opacity: below it a matte is noise rather than hair
_ROOM = 2  # times an automatic mask's growth: hair and contact shadows reach beyond the matte
_LOOK_SIDE = 512  # pixels on which objects are told from other parts
_SMALLEST, _LARGEST = 0.003, 0.2  # of the picture's area: less is a speck, more is scenery
_CUT = 0.01  # of its outline on the border: more is scenery that goes on beyond it
_ROUND = 0.25  # its largest disc, of its own area: less is a strip or a tatter
_FULL = 0.5  # of its convex hull that it fills: less is scattered
_MOST = 32
_STRIP_PIXELS = 1 << 20


def image_to_psd(picture: Picture, models: Models, labels: Labels | None = None) -> bytes:
    """Return a PSD file of `picture` taken apart.

    labels: its panoptic map, height x width; made when None. The layers, from the lowest:
    "Background", with the subject and all objects removed and filled; "Edges", what the picture has
    right around them: shadows, and the background's share of soft edges; "Object 1" and so on, the
    parts of the map that look like objects, at most 32, each in its bounding box; "Foreground", the
    subject alone, its colours free of the background. But for the background, layers of nothing are
    left out. Together they show the picture, one level of 255 off at most; the merged picture is
    the picture. The background is transparent where nothing is left to fill it from, and for a
    picture that brings its own alpha. Raises CanvasTooLongError.
    """
    if max(picture.width, picture.height) > MAX_SIDE:
        raise CanvasTooLongError(f"a side of a PSD file has at most {MAX_SIDE} pixels")
    alpha = subject_alpha(picture, models)
    if picture.alpha is not None and picture.alpha.min() < 255:
        nothing = Layer("Background", np.zeros_like(picture.rgb), np.zeros_like(alpha))
        return write_psd(picture, [nothing, *_cut_out("Foreground", picture.rgb, alpha)])
    if labels is None:
        labels = objects_mask_generator(picture, models)
    return write_psd(Picture(picture.rgb), _layers(picture.rgb, models, alpha, labels))


def _layers(rgb: Rgb, models: Models, alpha: Alpha8, labels: Labels) -> Iterator[Layer]:
    """Yield the layers of an opaque picture, the lowest first, one at a time."""
    growth = automatic_radius(*alpha.shape)
    subject = dilate(alpha > _FAINT, _ROOM * growth)
    objects = _objects(labels, subject)
    hole = subject | dilate(objects > 0, growth)
    alpha = np.where(subject, alpha, 0).astype(np.uint8)
    background = _background(rgb, models, hole)
    yield background
    front, edges = _share_out(rgb, alpha, background.rgb)
    matte = _feather(objects)
    around = hole & (alpha < 255) & (matte < 255)
    yield from _cut_out("Edges", edges, around * np.uint8(255))
    for number in range(1, int(objects.max(initial=0)) + 1):
        yield from _cut_out(f"Object {number}", rgb, np.where(objects == number, matte, 0))
    yield from _cut_out("Foreground", front, alpha)


def _background(rgb: Rgb, models: Models, hole: Mask) -> Layer:
    """Return the layer of what lies behind: filled, or transparent where nothing is left to fill from."""
    opacity = np.full(hole.shape, 255, np.uint8)
    if hole.any():
        try:
            with models.use(INPAINTING) as inpainting:
                rgb = inpainting.fill(rgb, hole)
        except NothingToCopyError:
            opacity[hole] = 0
    return Layer("Background", rgb, opacity)


def _objects(labels: Labels, subject: Mask) -> Labels:
    """Number the parts that look like objects from 1, the largest first; all else is 0.

    A part is taken for an object when the border does not cut it, and it is neither speck, scenery
    nor tatter. The subject is none of them.
    """
    height, width = labels.shape
    rest = np.where(subject, 0, labels).astype(np.uint8)
    small = resize_labels(rest, within_side(width, height, _LOOK_SIDE))
    areas = np.bincount(small.ravel(), minlength=256)[1:] / small.size
    order = 1 + np.argsort(-areas, kind="stable")
    chosen = [part for part in order if _looks_like_object(small == part)][:_MOST]
    numbers = np.zeros(256, np.uint8)
    numbers[chosen] = np.arange(1, len(chosen) + 1)
    return cv2.LUT(rest, numbers).astype(np.uint8, copy=False)


def _looks_like_object(part: Mask) -> bool:
    """Whether a part of the map is compact, of a middling size and not cut by the border."""
    area = np.count_nonzero(part)
    if not _SMALLEST <= area / part.size <= _LARGEST:
        return False
    framed = np.pad(part, 1).view(np.uint8)
    outlines, _ = cv2.findContours(framed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = sum(len(points) for points in outlines)
    cut = sum(np.count_nonzero(side) for side in (part[0], part[-1], part[:, 0], part[:, -1]))
    radius = cv2.distanceTransform(framed, cv2.DIST_L2, 5).max()
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(outlines)))
    return bool(
        cut <= _CUT * outline and np.pi * radius**2 >= _ROUND * area and area >= _FULL * hull
    )


def _feather(objects: Labels) -> Alpha8:
    """Return the objects' opacity: it falls to nothing along the inside of their outline."""
    inside = (objects > 0) * np.uint8(255)
    falling = np.clip(2 * np.arange(256) - 255, 0, 255).astype(np.uint8)
    matte = cv2.LUT(cv2.GaussianBlur(inside, (5, 5), 0), falling)
    return np.minimum(matte, inside).astype(np.uint8, copy=False)


def _share_out(rgb: Rgb, alpha: Alpha8, filled: Rgb) -> tuple[Rgb, Rgb]:
    """Share the colours of soft edges between subject and background.

    The first over the second, by `alpha`, is `rgb` again. The more opaque the subject, the less its
    estimated colour tells of the background: there the background leans on `filled`.
    """
    front, back = estimate_foreground(rgb, alpha), rgb.copy()
    rows = max(1, _STRIP_PIXELS // rgb.shape[1])
    for top in range(0, len(rgb), rows):
        strip = slice(top, top + rows)
        soft = (alpha[strip] > 0) & (alpha[strip] < 255)
        image = rgb[strip][soft].astype(np.float32)
        share = alpha[strip][soft].astype(np.float32)[:, None] / 255
        behind = np.clip((image - share * front[strip][soft]) / (1 - share), 0, 255)
        behind += share**2 * (filled[strip][soft] - behind)
        # Beyond these bounds no colour of the subject would give the picture.
        least, most = (image - 255 * share) / (1 - share), image / (1 - share)
        behind = np.clip(np.rint(np.clip(behind, least, most)), 0, 255)
        back[strip][soft] = behind
        front[strip][soft] = np.clip(np.rint((image - (1 - share) * behind) / share), 0, 255)
    return front, back


def _cut_out(name: str, rgb: Rgb, alpha: Alpha8) -> Iterator[Layer]:
    """Yield the layer of what `alpha` shows, in its bounding box, or none."""
    left, top, width, height = cv2.boundingRect(alpha)
    if width:
        box = np.s_[top : top + height, left : left + width]
        visible = np.where(alpha[box][..., None] > 0, rgb[box], 0).astype(np.uint8)
        yield Layer(name, visible, alpha[box], left, top)
