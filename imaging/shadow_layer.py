"""Lay a shadow under a cut-out: the canvas that holds both, and exact compositing in strips of rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import over
from imaging.masks import bounds
from imaging.picture import Alpha8, Picture, Rgb
from imaging.shadows import Density, Shadow

Colour = tuple[int, int, int]
"""sRGB, 0..255 each."""

Positions = NDArray[np.float64]
"""Places on one axis of a grid, in samples."""

_VISIBLE = 0.5 / 255
"""A shadow with less opacity shows on no background."""
_ROWS = 256
"""Rows that are composited at once."""


@dataclass(frozen=True)
class Canvas:
    """A canvas in pixels of a picture: its size, and where the picture's upper left corner is on it."""

    width: int
    height: int
    left: int = 0
    top: int = 0


def canvas_for(size: tuple[int, int], shadow: Shadow | None, opacity: float) -> Canvas:
    """Return the smallest canvas that holds a picture and all that shows of its shadow.

    size: width and height of the picture. opacity: of the shadow where its density is 1, 0..1.
    """
    width, height = size
    box = None if shadow is None else bounds(shadow.density * opacity > _VISIBLE)
    if shadow is None or box is None:
        return Canvas(width, height)
    rows, columns = box
    grid = shadow.grid
    left = max(0, (grid.left - columns.start) * grid.step)
    top = max(0, (grid.top - rows.start) * grid.step)
    right = max(0, (columns.stop - grid.left) * grid.step - width)
    bottom = max(0, (rows.stop - grid.top) * grid.step - height)
    return Canvas(left + width + right, top + height + bottom, left, top)


def with_shadow(
    cut_out: Picture,
    shadow: Shadow | None,
    opacity: float,
    colour: Colour,
    background: Colour | None = None,
) -> Picture:
    """Return a cut-out above its shadow, on the canvas of `canvas_for`.

    opacity: of the shadow where its density is 1, 0..1. Without a background the result has alpha, and
    colours that are not premultiplied. Where the cut-out is opaque its pixels do not change, bit for
    bit. The shadow is dithered by less than one level, so that its gradients have no bands.
    """
    canvas = canvas_for((cut_out.width, cut_out.height), shadow, opacity)
    front, alpha = _placed(cut_out, canvas)
    rgb = np.empty_like(front)
    result_alpha = np.empty_like(alpha)
    for rows, below in _strips(shadow, canvas, opacity):
        noise = _noise(rows, canvas.width) if below.max() > _VISIBLE else np.float32(0)
        if background is None:
            opaque = _rounded(255 * below + noise)
            rgb[rows], result_alpha[rows] = _above(front[rows], alpha[rows], colour, opaque)
        else:
            ground = [
                _rounded(b + (c - b) * below + noise)
                for c, b in zip(colour, background, strict=True)
            ]
            rgb[rows] = over(front[rows], alpha[rows], cv2.merge(ground).astype(np.uint8))
    return Picture(rgb, result_alpha if background is None else None)


def _placed(cut_out: Picture, canvas: Canvas) -> tuple[Rgb, Alpha8]:
    """Return a cut-out's colours and alpha on its canvas; the colours around repeat its border."""
    alpha = cut_out.alpha
    if alpha is None:
        alpha = np.full(cut_out.rgb.shape[:2], 255, np.uint8)
    sides = (
        (canvas.top, canvas.height - canvas.top - cut_out.height),
        (canvas.left, canvas.width - canvas.left - cut_out.width),
    )
    return np.pad(cut_out.rgb, (*sides, (0, 0)), mode="edge"), np.pad(alpha, sides)


def _strips(
    shadow: Shadow | None, canvas: Canvas, opacity: float
) -> Iterator[tuple[slice, Density]]:
    """Yield rows of the canvas and the shadow's opacity in them, 0..1: rows x width of the canvas."""
    step, left, top = 1, 0, 0
    wide = np.zeros((1, canvas.width), np.float32)
    if shadow is not None:
        step, left, top = shadow.grid.step, shadow.grid.left, shadow.grid.top
        across = _positions(slice(0, canvas.width), canvas.left, left, step)
        wide = _sampled(shadow.density.T, across).T * np.float32(opacity)
    for start in range(0, canvas.height, _ROWS):
        rows = slice(start, min(start + _ROWS, canvas.height))
        yield rows, _sampled(wide, _positions(rows, canvas.top, top, step))


def _positions(pixels: slice, corner: int, margin: int, step: int) -> Positions:
    """Return the samples of a grid, as fractions, at the centres of pixels of the canvas."""
    return (np.arange(pixels.start, pixels.stop) - corner + 0.5) / step + margin - 0.5


def _sampled(lines: Density, at: Positions) -> Density:
    """Return lines interpolated between the lines of a field, at positions; the outermost are repeated."""
    whole = np.floor(at)
    weight = (at - whole).astype(np.float32)[:, None]
    first, second = (
        np.clip(whole.astype(np.int64) + more, 0, lines.shape[0] - 1) for more in (0, 1)
    )
    if not weight.any():
        return lines[first]
    return lines[first] * (1 - weight) + lines[second] * weight


def _noise(rows: slice, width: int) -> Density:
    """Return noise above -0.5 and below 0.5, the same for the same pixel of a canvas: rows x width.

    Interleaved gradient noise: Jimenez, "Next Generation Post Processing in Call of Duty", SIGGRAPH 2014.
    """
    y = np.arange(rows.start, rows.stop)[:, None]
    slope = (0.06711056 * np.arange(width) + 0.00583715 * y) % 1
    noise = (52.9829189 * slope) % 1
    return (noise * 0.98 - 0.49).astype(np.float32)


def _rounded(levels: Density) -> Alpha8:
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def _above(front: Rgb, alpha: Alpha8, colour: Colour, below: Alpha8) -> tuple[Rgb, Alpha8]:
    """Return colours and alpha of a layer above one of a single colour; the colours are not premultiplied.

    below: the opacity of the single colour.
    """
    rgb, total = front.copy(), alpha.copy()
    shows = (below > 0) & (alpha < 255)
    own, under = (plane[shows].astype(np.float32) for plane in (alpha, below))
    seen = under * (255 - own) / np.float32(255)
    share = (seen / (own + seen))[:, None]
    mixed = front[shows] * (1 - share) + np.asarray(colour, np.float32) * share
    rgb[shows] = np.rint(mixed)
    total[shows] = np.rint(own + seen)
    return rgb, total
