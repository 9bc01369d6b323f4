"""Resizing: how a new size is chosen, and how pixels are averaged, interpolated or resampled.

Sizes are width and height in pixels. There are four ways to resize. All round to nearest and keep
the dtype:

- `resize` resizes any array to any size: it averages by area if pixels become fewer, else interpolates;
- `shrink` resizes a picture to a network's input size, two to three times as fast;
- `block_means` averages whole blocks of rows and columns;
- `resize_picture` resamples pictures for callers with the Lanczos filter, colours weighted by alpha.

Label maps must not be mixed: use `resize_labels`. For masks see `imaging.masks`.
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
"""Width and height in pixels."""

_MIN_ROWS = 2
"""`shrink` sums whole rows first if a row of the result covers at least this many rows."""
_MAX_ENLARGEMENT = 4.0
"""Largest factor by which a picture is enlarged for a model: more would add no detail."""
_MAX_WHOLE_PIXELS = 1 << 26
"""Pixels. If the resampled picture would have more, only the wanted part is computed."""


@dataclass(frozen=True)
class SizeRule:
    """The sizes that a diffusion model can work at. `working_size` chooses one of them.

    multiple: both sides are multiples of it. area: number of pixels that the model was trained at
    and works best at. least: the shortest side, in pixels.
    """

    multiple: int
    area: int
    least: int


def scaled(width: int, height: int, factor: float) -> Size:
    """Return a size times `factor`, each side rounded to nearest and at least 1."""
    return max(1, round(width * factor)), max(1, round(height * factor))


def within_side(width: int, height: int, side: int) -> Size:
    """Return a size reduced until its longer side is at most `side`. A smaller size stays."""
    return scaled(width, height, min(1.0, side / max(width, height)))


def within_area(width: int, height: int, area: int) -> Size:
    """Return a size reduced to at most `area` pixels, sides rounded down. A smaller size stays."""
    if width * height <= area:
        return width, height
    factor = math.sqrt(area / (width * height))
    high = min(area, max(1, int(height * factor)))
    return max(1, min(int(width * factor), area // high)), high


def working_size(width: int, height: int, sizes: SizeRule) -> Size:
    """Return the size at which a model works on a part of width x height pixels.

    The aspect ratio stays, except for the rounding to a multiple. The area is the model's own, but
    at most sixteen times the part's. A part that is too long for the model is compressed along its
    length.
    """
    factor = min((sizes.area / (width * height)) ** 0.5, _MAX_ENLARGEMENT)
    longest = sizes.area // sizes.least
    sides = [
        min(max(side * factor, sizes.least), longest) / sizes.multiple for side in (width, height)
    ]
    wide, high = (max(1, round(side)) * sizes.multiple for side in sides)
    return wide, high


def resize(pixels: P, size: Size, enlarge: int = cv2.INTER_LANCZOS4) -> P:
    """Return pixels at `size`: averaged by area if they become fewer, else interpolated by `enlarge`.

    pixels: height x width, or height x width x channels, uint8 or float32. A uint8 result is
    rounded to nearest and clipped to 0..255. enlarge: one of OpenCV's interpolations: INTER_LINEAR
    never overshoots, INTER_CUBIC overshoots once at an edge, INTER_LANCZOS4 is the sharpest. If the
    pixels have that size already, they are returned unchanged, in C order.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return cast(P, np.ascontiguousarray(pixels))
    method = cv2.INTER_AREA if size[0] * size[1] < width * height else enlarge
    return cast(P, np.asarray(cv2.resize(pixels, size, interpolation=method), pixels.dtype))


def resize_labels(labels: Labels, size: Size) -> Labels:
    """Return a label map or mask at `size`, by nearest neighbour. labels: height x width, uint8."""
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def shrink(rgb: Rgb, width: int, height: int) -> Rgb:
    """Return `rgb` at width x height: averaged if it shrinks, interpolated if a side grows.

    For the input of a network. If rows are summed first, one value in a hundred thousand differs by
    one level from the result of `resize`.
    """
    rows, columns = rgb.shape[:2]
    if columns < width or rows < height:
        method = cv2.INTER_LINEAR
    elif rows < _MIN_ROWS * height or not (rows % height or columns % width):
        method = cv2.INTER_AREA  # OpenCV itself is fast at whole factors
    else:
        return _shrink_rows_first(rgb, width, height)
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)


def _shrink_rows_first(rgb: Rgb, width: int, height: int) -> Rgb:
    """Average as OpenCV's INTER_AREA does.

    It sums whole rows first, which is two to three times as fast.
    """
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
    """Return the mean of each block of rows x columns. The numbers of blocks are rounded up.

    pixels: height x width, or height x width x channels, uint8, uint16 or float32. The last block
    of a row or column may be incomplete: the last pixel is repeated for the missing ones.
    """
    down, across = block
    rows, columns = -(-pixels.shape[0] // down), -(-pixels.shape[1] // across)
    padded = pad_to_blocks(pixels, block)
    if block == (1, 1):
        return padded
    means = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return cast(P, np.asarray(means, pixels.dtype))


def pad_to_blocks(pixels: P, block: tuple[int, int]) -> P:
    """Repeat the last row and column until all blocks of rows x columns are complete.

    If all are complete already, `pixels` itself is returned.
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
    """Return a picture resampled to `size` by the Lanczos filter with antialiasing.

    Colours are weighted by alpha, so the colours of transparent pixels do not mix into visible
    ones. part: rows and columns of the result that are wanted; by default all. in_bytes: weight
    colours in bytes instead of floats. This is twice as fast, but alpha and faint colours are less
    exact at edges. reducing_gap: first average whole blocks down to this many times the size, then
    resample. At 3 the result looks as good, and strong reduction is several times as fast.
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
    # Everything stays in floats to the end: an alpha clipped where the filter overshoots would no
    # longer match its colours.
    weight = alpha.astype(np.float32)
    new_alpha = np.asarray(lanczos(weight))
    colours = np.empty((*new_alpha.shape, 3), np.uint8)
    for channel in range(3):
        weighted = np.asarray(lanczos(rgb[..., channel] * weight)) / np.maximum(new_alpha, 1)
        colours[..., channel] = np.clip(np.rint(weighted), 0, 255)
    return Picture(colours, np.clip(np.rint(new_alpha), 0, 255).astype(np.uint8))


def _lanczos(
    image: Image.Image, size: Size, part: Window | None, reducing_gap: float | None
) -> Image.Image:
    """Resample an image of any mode as `resize_picture` says."""
    if part is None:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=reducing_gap)
    rows, columns = part
    box = columns.start, rows.start, columns.stop, rows.stop
    if size[0] * size[1] <= _MAX_WHOLE_PIXELS:
        whole = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=reducing_gap)
        return whole.crop(box)
    x, y = image.width / size[0], image.height / size[1]
    return image.resize(
        (box[2] - box[0], box[3] - box[1]),
        Image.Resampling.LANCZOS,
        box=(box[0] * x, box[1] * y, box[2] * x, box[3] * y),
        reducing_gap=reducing_gap,
    )
