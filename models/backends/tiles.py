"""Enlargement of a picture tile by tile, on several threads, with exact overlaps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from imaging.picture import Rgb
from models.deadline import current

FACTORS = (2, 4)


@dataclass(frozen=True)
class _Span:
    """Pixels start..stop of one axis."""

    start: int
    stop: int


def enlarge_by_tiles(
    rgb: Rgb,
    factor: int,
    enlarge: Callable[[Rgb, int], Rgb],
    *,
    tile: int,
    margin: int,
    threads: int,
) -> Rgb:
    """Return `rgb` enlarged to `factor` (2 or 4) times its width and height.

    enlarge: takes a tile with `margin` more pixels on each side, mirrored beyond the picture's
    edges, and the factor; returns the enlarged tile without the margins. tile: largest side of a
    tile in pixels. threads: number of tiles processed at once. Raises ValueError for another
    factor. Raises WorkCancelledError, between two tiles, if nobody waits any more.
    """
    if factor not in FACTORS:
        raise ValueError(f"factor {factor} is not one of {FACTORS}")
    height, width = rgb.shape[:2]
    result = np.empty((height * factor, width * factor, 3), np.uint8)
    deadline = current()

    def work(part: tuple[_Span, _Span]) -> None:
        deadline.check()
        rows, columns = part
        result[
            rows.start * factor : rows.stop * factor,
            columns.start * factor : columns.stop * factor,
        ] = enlarge(_with_margin(rgb, rows, columns, margin), factor)

    parts = [(r, c) for r in _spans(height, tile) for c in _spans(width, tile)]
    if threads == 1:
        for part in parts:
            work(part)
    else:
        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(work, parts))
    return result


def _spans(length: int, tile: int) -> list[_Span]:
    """Cut an axis into the least number of spans of at most `tile`, all of about the same length."""
    count = -(-length // tile)
    cuts = [length * i // count for i in range(count + 1)]
    return [_Span(a, b) for a, b in pairwise(cuts)]


def _with_margin(rgb: Rgb, rows: _Span, columns: _Span, margin: int) -> Rgb:
    """Return a tile with `margin` pixels around it. The picture is mirrored beyond its edges."""
    height, width = rgb.shape[:2]
    top, bottom = max(0, rows.start - margin), min(height, rows.stop + margin)
    left, right = max(0, columns.start - margin), min(width, columns.stop + margin)
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(rgb[top:bottom, left:right]),
        margin - (rows.start - top),
        margin - (bottom - rows.stop),
        margin - (columns.start - left),
        margin - (right - columns.stop),
        cv2.BORDER_REFLECT_101,
    )
    return np.asarray(framed, np.uint8)
