"""Windows: the parts of a picture around its holes, processed instead of the whole picture."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from imaging.masks import bounds, touched_blocks
from imaging.picture import Mask, Rgb, Window

_CELL = 32
"""Pixels. Holes are filled together if they are closer than one to two cells."""
_MAX_WINDOWS = 6
_MAX_BLOBS = 64
_CONTEXT = 0.5
"""Least context around a hole, on each side, as a share of the hole's longer side."""
_LEAST_SHARE = 0.15
"""Share of the window that a hole should cover: fills look best at 15 % and more."""


def fill_by_windows(
    rgb: Rgb,
    hole: Mask,
    choose: Callable[[Window], Window],
    fill: Callable[[Window, Mask], Rgb],
) -> Rgb:
    """Return a copy of `rgb` with its hole filled, one window after the other.

    choose: takes a window that tightly holds some parts of the hole, and returns the window to work
    on. fill: takes the chosen window and a mask of its size, True where its pixels are used;
    returns the filled pixels of the window. Windows may overlap: `fill` must cut its input from
    `rgb`, so that the pixels made for one hole are not shown to the next.
    """
    out = rgb.copy()
    for part in around_holes(hole):
        window = choose(part)
        own = np.zeros(hole[window].shape, np.bool_)
        inner = tuple(
            slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window, strict=True)
        )
        own[inner] = hole[part]
        np.copyto(out[window], fill(window, own), where=own[..., None])
    return out


def around_holes(hole: Mask) -> Iterator[Window]:
    """Yield at most six disjoint windows that together hold the whole hole; near parts share one."""
    if not hole.any():
        return
    cell = _CELL
    while True:
        cells = touched_blocks(hole, cell)
        near = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(near, connectivity=8)
        if count <= _MAX_BLOBS:
            boxes = _merge([_tight_bounds((labels == label) & cells) for label in range(1, count)])
            if len(boxes) <= _MAX_WINDOWS:
                break
        cell *= 2
    for box in boxes:
        rows, columns = (slice(side.start * cell, side.stop * cell) for side in box)
        y, x = _tight_bounds(hole[rows, columns])
        yield (
            slice(rows.start + y.start, rows.start + y.stop),
            slice(columns.start + x.start, columns.start + x.stop),
        )


def grown(window: Window, margin: int, shape: tuple[int, ...]) -> Window:
    """Return `window` with `margin` more pixels on every side, clipped to a picture of `shape`."""
    rows, columns = (
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, side in zip(window, shape, strict=False)
    )
    return rows, columns


def with_context(window: Window, hidden: Mask, margin: int) -> Window:
    """Return `window` grown by `margin` or more, until at least a third of its pixels are visible.

    hidden: height x width of the picture, True where a pixel is not visible. If more than two
    thirds of the picture are hidden, the window may become the whole picture.
    """
    while True:
        larger = grown(window, margin, hidden.shape)
        part = hidden[larger]
        if part.shape == hidden.shape or np.count_nonzero(part) * 3 <= part.size * 2:
            return larger
        margin *= 2


def widened(window: Window, side: int, shape: tuple[int, ...]) -> Window:
    """Return `window` widened to `side` pixels on both axes, as far as a picture of `shape` allows.

    The middle stays if there is room for it. An axis that is longer already stays as it is.
    """
    rows, columns = (_widen(part, side, limit) for part, limit in zip(window, shape, strict=False))
    return rows, columns


def around_hole(hole: Mask) -> Window:
    """Return one window around the whole hole, with the context that a model needs.

    It is square if the picture is large enough. Without a hole it is the whole picture.
    """
    height, width = hole.shape
    box = bounds(hole)
    if box is None:
        return slice(0, height), slice(0, width)
    tall, wide = (side.stop - side.start for side in box)
    side = max(tall, wide)
    room = max(side * (1 + 2 * _CONTEXT), min((tall * wide / _LEAST_SHARE) ** 0.5, 2 * side))
    return _widen(box[0], round(room), height), _widen(box[1], round(room), width)


def _widen(side: slice, length: int, limit: int) -> slice:
    """Widen a side to `length` within 0..limit. The middle stays if there is room for it."""
    length = min(max(length, side.stop - side.start), limit)
    first = min(max(0, (side.start + side.stop - length) // 2), limit - length)
    return slice(first, first + length)


def _tight_bounds(mask: Mask) -> Window:
    """Return the bounds of a mask that has at least one True pixel."""
    box = bounds(mask)
    assert box is not None  # noqa: S101 - each part has a cell, and each cell a pixel
    return box


def _merge(boxes: list[Window]) -> list[Window]:
    """Merge overlapping windows until none overlap."""
    done: list[Window] = []
    while boxes:
        box = boxes.pop()
        for other in done:
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(box, other, strict=True)):
                done.remove(other)
                rows, columns = (
                    slice(min(a.start, b.start), max(a.stop, b.stop))
                    for a, b in zip(box, other, strict=True)
                )
                boxes.append((rows, columns))
                break
        else:
            done.append(box)
    return done
