"""Shadows of cut-outs: how dark the ground is around a thing that stands on it, or floats above it.

The density is computed in floats on a reduced grid, because it is smooth, and enlarged in strips of rows
while it is laid under the cut-out (`imaging.shadow_layer`).
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.ground_contact import FOOT, Line, Standing, standing_parts
from imaging.masks import bounds
from imaging.picture import Alpha8
from imaging.resize import block_means

Density = NDArray[np.float32]
"""Rows x columns of a `Grid`, float32, from 0 (no shadow) to 1."""

_SIDE = 1536
"""Longest side of the grid, margins included, in samples."""
_SOLID = 0.5
"""Alpha, 0..1, from which a pixel belongs to the outline that stands on the ground."""
_MANY_SIGMAS = 3.5
"""A Gaussian ends after so many standard deviations: the shadow is below 0.3 % there."""
_SOFTNESS = 0.04
"""Standard deviation of the soft shadow across the ground, as a share of the part's size."""
_OVERHEAD = 0.35
"""Height over which what is above the ground counts as darkening it, as a share of the part's size."""
_STRIP = 0.006
"""Half of the height of the dark strip where a part touches the ground, as a share of its size."""
_CONTACT_MOVES, _CONTACT_BLURS = 0.25, 0.3
"""How much of the offset and of the blur the shadow at the contact takes: it stays sharp and at the foot."""
_CONTACT_SHARE, _SOFT_SHARE = 0.8, 0.7
"""Darkness of the shadow at the contact and of the soft shadow, as shares of the intensity."""
_FOOTPRINT_SHARE = 0.8
"""Darkness of the ground between the feet, as a share of that along the line from foot to foot."""
_TRAIL = 0.6
"""Darkness at the far end of a soft shadow that an offset draws out, as a share of that at the foot."""
_FLOAT_GAP, _FLOAT_WIDTH = 0.04, 0.8
"""Distance of a floating thing from its shadow as a share of its height, and the width as one of its width."""
_MAX_DOUBLINGS = 10
_LARGE_SIGMA = 8.0
"""A blur with a larger standard deviation, in samples, is made at a reduced size."""


@dataclass(frozen=True)
class ShadowShape:
    """The form of a shadow, in pixels of the picture.

    offset: to the right and downwards. blur: twice the standard deviation of the Gaussian that softens the
    edges, as in CSS. is_floating: an ellipse below a thing that does not touch the ground, of `width`
    (None: 80 % of the thing's) and `height`.
    """

    offset: tuple[int, int] = (0, 15)
    blur: float = 15
    is_floating: bool = False
    width: int | None = None
    height: int = 70


@dataclass(frozen=True)
class Grid:
    """Where the samples of a density are.

    step: pixels of the picture for each sample. left, top: samples before the picture's corner.
    """

    step: int
    left: int
    top: int


@dataclass(frozen=True)
class Shadow:
    """A density and the grid that its samples are on."""

    density: Density
    grid: Grid


def cast_shadow(alpha: Alpha8, shape: ShadowShape) -> Shadow | None:
    """Return the shadow of a cut-out; None if nothing of it is solid enough to cast one.

    alpha: height x width, uint8, 0..255. A regular shadow follows the lower outline of each part that stands
    on the ground (`imaging.ground_contact`): a dark strip where it touches, and a soft shadow along the
    ground, darker below what is low above it.
    """
    box = bounds(alpha > 0)
    if box is None:
        return None
    rows, columns = box
    sides = reach(shape, (columns.stop - columns.start, rows.stop - rows.start))
    step = -(-(max(alpha.shape) + 2 * max(sides)) // _SIDE)
    small = block_means(alpha, (step, step)).astype(np.float32)
    small /= max(1.0, float(small.max()))
    x, y = (-(-side // step) for side in sides)
    opacity = np.pad(small, ((y, y), (x, x)))
    draw = _floating if shape.is_floating else _standing
    return Shadow(draw(opacity, shape, step), Grid(step, x, y))


def reach(shape: ShadowShape, size: tuple[int, int]) -> tuple[int, int]:
    """Return how far a shadow can lie outside its picture, to the sides and up and down, in pixels.

    size: width and height of the thing.
    """
    x, y = (abs(value) for value in shape.offset)
    blur = _MANY_SIGMAS * shape.blur / 2 + 2
    if shape.is_floating:
        width = size[0] if shape.width is None else shape.width
        gap = _FLOAT_GAP * size[1]
        return round(x + blur + width / 2), round(y + blur + gap + shape.height)
    soft = _MANY_SIGMAS * _SOFTNESS * (size[0] * size[1]) ** 0.5
    return round(x + blur + soft), round(y + blur + soft)


def _standing(opacity: Density, shape: ShadowShape, step: int) -> Density:
    """Return the density below a thing that stands on the ground."""
    contact, soft = np.zeros_like(opacity), np.zeros_like(opacity)
    for part in standing_parts(opacity > _SOLID):
        _add_contact(contact, part)
        _add_soft(soft, part, opacity)
    sigma = shape.blur / 2 / step
    x, y = (value / step for value in shape.offset)
    least = max(0.6, 0.5 / step)
    contact = blurred(contact, max(least, _CONTACT_BLURS * sigma))
    contact = trailed(contact, x * _CONTACT_MOVES, y * _CONTACT_MOVES, 1.0)
    soft = trailed(blurred(soft, max(least, sigma)), x, y, max(1.0, sigma / 4))
    density: Density = 1 - (1 - _CONTACT_SHARE * contact) * (1 - _SOFT_SHARE * soft)
    return density


def _add_contact(contact: Density, part: Standing) -> None:
    """Draw the strip where a part touches the ground."""
    half = max(1.0, _STRIP * part.size)
    rows = _rows(part.lowest, half + 2, contact.shape[0])
    away = np.abs(np.arange(rows.start, rows.stop)[:, None] - part.lowest)
    strip = part.contact * np.clip(half + 0.5 - away, 0, 1)
    view = contact[rows, part.columns]
    np.maximum(view, strip, out=view)


def _add_soft(soft: Density, part: Standing, opacity: Density) -> None:
    """Draw the soft shadow along the ground of a part: dark where much of it is low above the ground."""
    y = np.arange(opacity.shape[0], dtype=np.float32)[:, None]
    height = part.ground - y
    weight = np.exp(-np.maximum(height, 0) / (_OVERHEAD * part.size)) * (height >= 0)
    above = np.where(part.mask, opacity, 0)[:, part.columns] * weight
    dark = np.minimum(1, 1.5 * above.sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-6))
    sigma = max(0.5, _SOFTNESS * part.size)
    margin = min(
        round(_MANY_SIGMAS * sigma), part.columns.start, opacity.shape[1] - part.columns.stop
    )
    columns = slice(part.columns.start - margin, part.columns.stop + margin)
    dark = cv2.GaussianBlur(np.pad(dark, margin)[None].astype(np.float32), (0, 0), sigma)[0]
    ground = np.pad(part.ground, margin, mode="edge")
    rows = _rows(ground, _MANY_SIGMAS * sigma, opacity.shape[0])
    across = np.exp(-0.5 * ((y[rows] - ground) / sigma) ** 2)
    view = soft[rows, columns]
    np.maximum(view, dark * across, out=view)
    np.maximum(soft, _footprint(soft.shape, part, dark, columns, sigma), out=soft)


def _footprint(
    shape: tuple[int, ...], part: Standing, dark: Line, columns: slice, sigma: float
) -> Density:
    """Return the soft shadow between the feet of a part: on the ground that they enclose."""
    feet = np.flatnonzero(part.contact > FOOT)
    points = np.stack([feet + part.columns.start, part.lowest[feet]], 1).astype(np.int32)
    area = np.zeros(shape, np.float32)
    cv2.fillConvexPoly(area, cv2.convexHull(points), 1.0)
    area[:, columns] *= dark * np.float32(_FOOTPRINT_SHARE)
    return blurred(area, sigma)


def _rows(line: Line, margin: float, height: int) -> slice:
    """Return the rows of a picture of this height within `margin` of a line; rows below 0 are none."""
    found = line[line >= 0]
    top, bottom = int(found.min() - margin), int(found.max() + margin) + 2
    return slice(max(0, top), min(height, bottom))


def _floating(opacity: Density, shape: ShadowShape, step: int) -> Density:
    """Return the density of an ellipse below a thing that floats."""
    box = bounds(opacity > _SOLID) or bounds(opacity > 0)
    if box is None or not shape.height:
        return np.zeros_like(opacity)
    rows, columns = box
    width = columns.stop - columns.start
    half_width = (_FLOAT_WIDTH * width if shape.width is None else shape.width / step) / 2
    half_height = shape.height / step / 2
    gap = _FLOAT_GAP * (rows.stop - rows.start)
    x, y = (value / step for value in shape.offset)
    centre_x = (columns.start + columns.stop - 1) / 2 + x
    centre_y = rows.stop + gap + half_height + y
    down = (np.arange(opacity.shape[0], dtype=np.float32)[:, None] - centre_y) / half_height
    across = (np.arange(opacity.shape[1], dtype=np.float32) - centre_x) / half_width
    ellipse = np.maximum(1 - down**2 - across**2, 0) ** np.float32(0.75)
    return blurred(ellipse.astype(np.float32), shape.blur / 2 / step)


def blurred(field: Density, sigma: float) -> Density:
    """Return a field after a Gaussian blur; a large one is made at a reduced size, so its time is bounded."""
    if sigma < 0.1:
        return field
    factor = max(1, int(sigma / (_LARGE_SIGMA / 2))) if sigma > _LARGE_SIGMA else 1
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))
    height, width = field.shape
    small = block_means(np.pad(field, factor), (factor, factor))
    soft = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_CONSTANT)
    size = soft.shape[1] * factor, soft.shape[0] * factor
    large = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[factor : factor + height, factor : factor + width])


def moved(field: Density, x: float, y: float) -> Density:
    """Return a field moved to the right and down by a number of samples, which may be a fraction."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = field.shape[1], field.shape[0]
    return np.asarray(cv2.warpAffine(field, matrix, size, flags=cv2.INTER_LINEAR), np.float32)


def trailed(field: Density, x: float, y: float, spacing: float) -> Density:
    """Return a field drawn out from where it is to (x, y) samples further, fading on the way.

    spacing: distance of the copies that it is made of, in samples; their number doubles with each step.
    """
    steps = min(_MAX_DOUBLINGS, max(1, math.ceil(math.log2(max(2.0, math.hypot(x, y) / spacing)))))
    for step in range(steps):
        share = 2**step / (2**steps - 1)
        field = np.maximum(field, _TRAIL**share * moved(field, x * share, y * share))
    return field
