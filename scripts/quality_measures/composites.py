"""Composites whose alpha is known: subjects cut out of photographs, on backgrounds that are photographs.

`outlines.json` has the outlines of the subjects, drawn by hand and a pixel or two inside the subject's edge.
A composite's alpha is that outline, softened, so that it is exact however well the outline fits.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Matte, Rgb
from scripts.quality_measures.photographs import Half, Photographs, half_of

OUTLINES = Path(__file__).with_name("outlines.json")
BACKGROUNDS = (
    "opencv_building.jpg",
    "opencv_castle.jpg",
    "opencv_board.jpg",
    "opencv_aero1.jpg",
    "scikit_learn_china.jpg",
    "opencv_home.jpg",
    "opencv_leuvenA.jpg",
    "opencv_graf1.png",
    "opencv_rubberwhale1.png",
    "gradio_tower.jpg",
)
SILHOUETTE = "scikit_image_horse.png"
TEXTURES = ("scikit_image_chelsea.png",)
_HAIRY = ("scikit_image_astronaut.png", "mahotas_luispedro.jpg", "gradio_lion.jpg")
_PLACES = ((0.9, 0.5, 0.0), (0.7, 0.35, 0.006), (0.5, 0.62, 0.012))
"""Of each composite of a subject: its height as a share of the picture's, its middle as a share of the
picture's width, and the blur of the background as a share of the picture's width."""
_MOST_ENLARGED, _LEAST_TALL = 1.6, 420
"""A small subject is enlarged, at most so far, until it is so many pixels tall."""
_MOST_ROWS = 1000
_EDGE_SIGMA = 0.8
_CUT_OFF = 0.25
"""Share of a subject's width that its lowest pixels have if the photograph, or the outline, cuts it off."""
_STRANDS = 420
_SUB_PIXELS = 16
"""Hair is drawn in sixteenths of a pixel."""


@dataclass(frozen=True)
class Subject:
    """A subject: its colours, and its alpha 0..255. grounded: a straight lower edge cuts it off."""

    rgb: Rgb
    alpha: Matte
    grounded: bool


@dataclass(frozen=True)
class Composite:
    """A picture with the true alpha of its subject. half: that of the subject's photograph."""

    name: str
    half: Half
    rgb: Rgb
    alpha: Matte


@cache
def outlines() -> dict[str, list[list[int]]]:
    """Return the outlines by photograph: polygons as x, y, x, y, ..."""
    return dict(json.loads(OUTLINES.read_text()))


def composites(photos: Photographs, count: int = len(_PLACES)) -> Iterator[Composite]:
    """Yield `count` composites of each subject; its backgrounds are of the same half.

    In a folder of other photographs the subjects are those with a transparent background, and the
    backgrounds are all others.
    """
    listed = [ground for ground in BACKGROUNDS if ground in photos]
    for name, subject in _subjects(photos):
        source = name.partition("+")[0]
        half = half_of(source)
        grounds = [ground for ground in listed if half_of(ground) == half]
        if not listed:
            grounds = [other for other in _opaque(photos) if other != source]
        first = sum(name.encode())
        for index, place in enumerate(_PLACES[:count] if grounds else ()):
            ground = grounds[(first + index) % len(grounds)]
            rgb, alpha = compose(subject, photos.read(ground), *place)
            yield Composite(f"{name} on {ground}", half, rgb, alpha)


def compose(
    subject: Subject, ground: Rgb, height: float, middle: float, blur: float
) -> tuple[Rgb, Matte]:
    """Return a subject in front of a photograph, and its alpha in that picture.

    height: the subject's, as a share of the picture's. middle: of the subject, as a share of the width.
    blur: of the background, as a share of the width.
    """
    tall, wide = subject.alpha.shape
    scale = min(_MOST_ENLARGED, max(1.0, _LEAST_TALL / tall), _MOST_ROWS * height / tall)
    rows = round(tall * scale / height)
    columns = max(round(rows * ground.shape[1] / ground.shape[0]), round(wide * scale * 1.05))
    alpha = _placed(subject.alpha, scale, (rows, columns), middle, subject.grounded)
    rgb = _placed(subject.rgb, scale, (rows, columns), middle, subject.grounded)
    behind = _covering(ground, rows, columns)
    if blur:
        behind = np.asarray(cv2.GaussianBlur(behind, (0, 0), blur * columns), np.uint8)
    share = alpha[..., None].astype(np.float32) / 255
    mixed = rgb * share + behind * (1 - share)
    return np.rint(mixed).astype(np.uint8), alpha


def cut(rgb: Rgb, polygons: Sequence[Sequence[int]], strands: int = 0) -> Subject:
    """Return the subject inside `polygons`, cropped to it. strands: hairs that stand out from its upper half."""
    alpha = _drawn(rgb.shape[:2], polygons)
    solid = (alpha > 127).astype(np.uint8)
    if strands:
        alpha = np.maximum(alpha, hair(alpha, strands))
    # Round the subject its own colours go on, so that the old background shows nowhere.
    colours = fill_from_nearest(rgb, cv2.erode(solid, np.ones((3, 3))) > 0)
    return _cropped(colours, alpha)


def hair(alpha: Matte, strands: int) -> Matte:
    """Return the alpha of curved hairs, 0..255, along the upper half of a subject's edge; repeatable."""
    random = np.random.default_rng(strands)
    found, _ = cv2.findContours(
        (alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    edge = max(found, key=len)[:, 0].astype(np.float32)
    edge = edge[edge[:, 1] < np.quantile(edge[:, 1], 0.5)]
    centre = np.array((edge[:, 0].mean(), edge[:, 1].max()))
    length = 0.07 * alpha.shape[0]
    drawn = np.zeros_like(alpha)
    for start in edge[random.integers(0, len(edge), strands)]:
        outward = (start - centre) / max(1.0, float(np.linalg.norm(start - centre)))
        sideways = np.array((-outward[1], outward[0])) * random.normal(0, 0.7)
        along = np.linspace(-0.2, 1, 12)[:, None] * length * random.uniform(0.4, 1)
        points = start + outward * along + sideways * along**2 / length
        strand = np.zeros_like(alpha)
        fixed = np.rint(points * _SUB_PIXELS).astype(np.int32)
        level = float(random.uniform(90, 255))
        cv2.polylines(strand, [fixed], False, level, 1, cv2.LINE_AA, 4)
        drawn = np.maximum(drawn, strand)
    return drawn


def _subjects(photos: Photographs) -> Iterator[tuple[str, Subject]]:
    for name, polygons in outlines().items():
        if name in photos:
            yield name, cut(photos.read(name), polygons)
            if name in _HAIRY:
                yield f"{name}+hair", cut(photos.read(name), polygons, _STRANDS)
    for name in photos.names:
        alpha = photos.alpha(name)
        if alpha is not None and alpha.any():
            yield name, _cropped(photos.read(name), alpha)
    if SILHOUETTE in photos:
        for texture in TEXTURES:
            if texture in photos:
                yield f"{SILHOUETTE}+{texture}", _textured(photos, texture)


def _opaque(photos: Photographs) -> list[str]:
    return [name for name in photos.names if photos.alpha(name) is None]


def _cropped(rgb: Rgb, alpha: Matte) -> Subject:
    """Return a subject without the transparent rows and columns around it."""
    columns, rows = (np.flatnonzero(alpha.any(axis)) for axis in (0, 1))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cropped = np.ascontiguousarray(alpha[box])
    grounded = float((cropped[-2:][0] > 0).mean()) > _CUT_OFF
    return Subject(np.ascontiguousarray(rgb[box]), cropped, grounded)


def _textured(photos: Photographs, texture: str) -> Subject:
    """Return the silhouette, filled with a photograph of a texture."""
    shape = photos.read(SILHOUETTE)[..., 0] < 128
    alpha = cv2.GaussianBlur(shape.astype(np.uint8) * 255, (0, 0), _EDGE_SIGMA)
    return Subject(_covering(photos.read(texture), *alpha.shape), alpha.astype(np.uint8), False)


def _drawn(shape: tuple[int, ...], polygons: Sequence[Sequence[int]]) -> Matte:
    """Return polygons, the second and later ones as holes or parts, with a soft edge; not along the frame."""
    solid = np.zeros(shape, np.uint8)
    cv2.fillPoly(solid, [np.array(one, np.int32).reshape(-1, 2) for one in polygons], 255)
    soft = cv2.GaussianBlur(solid, (0, 0), _EDGE_SIGMA, borderType=cv2.BORDER_REPLICATE)
    return soft.astype(np.uint8)


def _placed(
    layer: Rgb | Matte, scale: float, size: tuple[int, int], middle: float, grounded: bool
) -> Rgb | Matte:
    """Return a layer at `scale` on an empty canvas: on its lower edge, or a little above it."""
    rows, columns = size
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(layer, None, fx=scale, fy=scale, interpolation=method)
    tall, wide = large.shape[:2]
    left = min(max(0, round(columns * middle - wide / 2)), columns - wide)
    top = rows - tall if grounded else round((rows - tall) * 0.6)
    canvas = np.zeros((rows, columns, *layer.shape[2:]), np.uint8)
    canvas[top : top + tall, left : left + wide] = large
    return canvas


def _covering(rgb: Rgb, rows: int, columns: int) -> Rgb:
    """Return the middle of a photograph, scaled so that it covers a size."""
    scale = max(rows / rgb.shape[0], columns / rgb.shape[1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    wide = max(columns, round(rgb.shape[1] * scale))
    tall = max(rows, round(rgb.shape[0] * scale))
    large = cv2.resize(rgb, (wide, tall), interpolation=method)
    top, left = (tall - rows) // 2, (wide - columns) // 2
    return np.ascontiguousarray(large[top : top + rows, left : left + columns])
