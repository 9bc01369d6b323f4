"""Which size pixels are brought to, and how they get there: averaged, interpolated or resampled.

Sizes are width and height in pixels. There are four ways; all round to nearest and keep the dtype:

- `resize` brings anything to any size: by area down, by an interpolation of the caller's choice up;
- `shrink` squeezes a picture into what a network takes, two to three times as fast;
- `block_means` averages whole blocks of rows and columns;
- `resize_picture` resamples what callers get to see with Lanczos' filter, colours weighed by alpha.

Maps of numbered parts, which must not be mixed, have `resize_labels`; masks have `imaging.masks`.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Labels, Picture, Rgb, Window

P = TypeVar("P", bound=NDArray[Any])
Size = tuple[int, int]
"""Width and height."""

_WHOLE_ROWS = 2
"""How many rows a row of the result has to cover at least for rows to be added up first."""
_MOST_STRETCH = 4.0
"""Pictures are not enlarged more than this for a model: there is nothing more to see in them."""
_WHOLE_PIXELS = 1 << 26
"""Of a resampled picture: beyond it only the part that is wanted is made."""


@dataclass(frozen=True)
class SizeRule:
    """Which sizes a diffusion model works at; `working_size` finds one for a part of a picture.

    multiple: both sides are multiples of it. area: pixels it was trained at, and works best at.
    least: shortest side.
    """

    multiple: int
    area: int
    least: int


def scaled(width: int, height: int, factor: float) -> Size:
    """Return a size times `factor`, each side rounded to nearest and at least 1."""
    return max(1, round(width * factor)), max(1, round(height * factor))


def within_side(width: int, height: int, side: int) -> Size:
    """Return a size reduced until its longer side is `side` at most; a smaller one stays."""
    return scaled(width, height, min(1.0, side / max(width, height)))


def within_area(width: int, height: int, area: int) -> Size:
    """Return a size reduced to `area` pixels at most, sides rounded down; a smaller one stays."""
    if width * height <= area:
        return width, height
    factor = math.sqrt(area / (width * height))
    high = min(area, max(1, int(height * factor)))
    return max(1, min(int(width * factor), area // high)), high


def working_size(width: int, height: int, sizes: SizeRule) -> Size:
    """Return the size at which a model works on a part of width x height pixels.

    The aspect ratio is kept but for the multiple; the area is the model's own, or up to sixteen times
    the part's where that is less. Parts longer than a model can show are squeezed along their length.
    """
    factor = min((sizes.area / (width * height)) ** 0.5, _MOST_STRETCH)
    longest = sizes.area // sizes.least
    sides = [
        min(max(side * factor, sizes.least), longest) / sizes.multiple for side in (width, height)
    ]
    wide, high = (max(1, round(side)) * sizes.multiple for side in sides)
    return wide, high


def resize(pixels: P, size: Size, enlarge: int = cv2.INTER_LANCZOS4) -> P:
    """Return pixels at `size`: each the mean of what it covers where they become fewer, else `enlarge`.

    pixels: height x width, or height x width x channels, uint8 or float32; of bytes the result is
    rounded to nearest and held to 0..255. enlarge: one of OpenCV's interpolations: INTER_LINEAR for
    what must not overshoot, INTER_CUBIC for one lobe at edges, INTER_LANCZOS4 for the sharpest.
    Pixels that have that size already are given back, as they are or in C order.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return cast(P, np.ascontiguousarray(pixels))
    method = cv2.INTER_AREA if size[0] * size[1] < width * height else enlarge
    return cast(P, np.asarray(cv2.resize(pixels, size, interpolation=method), pixels.dtype))


def resize_labels(labels: Labels, size: Size) -> Labels:
    """Return a map or a mask, height x width, uint8, at `size`: each pixel has the nearest one's value."""
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def shrink(rgb: Rgb, width: int, height: int) -> Rgb:
    """Return `rgb` at width x height: averaged where it shrinks, interpolated where a side grows.

    For pictures on their way into a network. Where rows are added up first, one value in a hundred
    thousand is one level off what `resize` gives.
    """
    rows, columns = rgb.shape[:2]
    if columns < width or rows < height:
        method = cv2.INTER_LINEAR
    elif rows < _WHOLE_ROWS * height or not (rows % height or columns % width):
        method = cv2.INTER_AREA  # OpenCV is fast by itself at whole factors
    else:
        return _rows_first(rgb, width, height)
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)


def _rows_first(rgb: Rgb, width: int, height: int) -> Rgb:
    """Do what OpenCV's INTER_AREA does, two to three times as fast: rows are added up as wholes."""
    flat = rgb.reshape(rgb.shape[0], -1)
    sums = np.empty((height, flat.shape[1]), np.float32)
    edges = np.linspace(0, rgb.shape[0], height + 1)
    for row, (top, bottom) in zip(sums, pairwise(edges), strict=True):
        first, last = math.ceil(top), math.floor(bottom)
        cv2.reduce(flat[first:last], 0, cv2.REDUCE_SUM, dst=row[None], dtype=cv2.CV_32F)
        if top < first:
            cv2.scaleAdd(flat[first - 1].astype(np.float32), first - top, row, dst=row)
        if last < bottom:
            cv2.scaleAdd(flat[last].astype(np.float32), bottom - last, row, dst=row)
    narrow = sums.reshape(height, rgb.shape[1], 3)
    means = cv2.resize(narrow, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(means, alpha=height / rgb.shape[0]), np.uint8)


def block_means(pixels: P, block: tuple[int, int]) -> P:
    """Return the mean of each block of rows x columns, the numbers of blocks rounded up.

    pixels: height x width, or height x width x channels, uint8, uint16 or float32. The last blocks
    of a row or column may be broken: the last pixel counts for what they lack.
    """
    down, across = block
    rows, columns = -(-pixels.shape[0] // down), -(-pixels.shape[1] // across)
    padded = pad_to_blocks(pixels, block)
    if block == (1, 1):
        return padded
    means = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return cast(P, np.asarray(means, pixels.dtype))


def pad_to_blocks(pixels: P, block: tuple[int, int]) -> P:
    """Repeat the last row and column until there are whole blocks of rows x columns only.

    Pixels that have no broken block are given back themselves.
    """
    below, right = -pixels.shape[0] % block[0], -pixels.shape[1] % block[1]
    if not below and not right:
        return pixels
    padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cast(P, np.asarray(padded, pixels.dtype))


def resize_picture(
    picture: Picture,
    size: Size,
    part: Window | None = None,
    *,
    in_bytes: bool = False,
    reducing_gap: float | None = None,
) -> Picture:
    """Return a picture resampled to `size` by Lanczos' filter, antialiased, colours weighed by alpha.

    What is hidden under transparent pixels does not bleed into those that are seen. part: rows and
    columns of the result that are wanted, by default all. in_bytes: weighs colours in bytes instead
    of floats: twice as fast, but alpha and faint colours are coarser at ringing edges. reducing_gap:
    averages whole blocks until this many times the size is left, and resamples that: at 3 as good to
    the eye, and several times as fast where much is reduced.
    """
    rgb, alpha = picture.rgb, picture.alpha
    if size == (picture.width, picture.height):
        if part is None:
            return picture
        return Picture(rgb[part], None if alpha is None else alpha[part])

    def lanczos(samples: Image.Image | NDArray[Any]) -> Image.Image:
        image = samples if isinstance(samples, Image.Image) else Image.fromarray(samples)
        return _lanczos(image, size, part, reducing_gap)

    if alpha is None:
        return Picture(np.asarray(lanczos(rgb)))
    if in_bytes:
        image = Image.fromarray(rgb)
        image.putalpha(Image.fromarray(alpha))
        pixels = np.asarray(lanczos(image.convert("RGBa")).convert("RGBA"))
        return Picture(np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3]))
    # Clipped at a ringing edge, alpha would no longer fit its colours: all stay floats till the end.
    weight = alpha.astype(np.float32)
    seen = np.asarray(lanczos(weight))
    colours = np.empty((*seen.shape, 3), np.uint8)
    for channel in range(3):
        weighed = np.asarray(lanczos(rgb[..., channel] * weight)) / np.maximum(seen, 1)
        colours[..., channel] = np.clip(np.rint(weighed), 0, 255)
    return Picture(colours, np.clip(np.rint(seen), 0, 255).astype(np.uint8))


def _lanczos(
    image: Image.Image, size: Size, part: Window | None, reducing_gap: float | None
) -> Image.Image:
    """Resample an image of any mode; see `resize_picture`."""
    if part is None:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=reducing_gap)
    rows, columns = part
    box = columns.start, rows.start, columns.stop, rows.stop
    if size[0] * size[1] <= _WHOLE_PIXELS:
        whole = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=reducing_gap)
        return whole.crop(box)
    x, y = image.width / size[0], image.height / size[1]
    return image.resize(
        (box[2] - box[0], box[3] - box[1]),
        Image.Resampling.LANCZOS,
        box=(box[0] * x, box[1] * y, box[2] * x, box[3] * y),
        reducing_gap=reducing_gap,
    )
