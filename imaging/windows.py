"""Parts of a picture that are worked on instead of the whole: around holes, with room to see from."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from imaging.masks import bounds, touched_blocks
from imaging.picture import Mask, Rgb, Window

_CELL = 32
"""Pixels: holes nearer than one to two cells are filled together."""
_MOST_WINDOWS = 6
_MOST_BLOBS = 64
_CONTEXT = 0.5
"""How much of a hole's longer side is shown around it, at least, so that a model sees where it is."""
_LEAST_SHARE = 0.15
"""Share of the window that a hole has at most by design: fills look best on 15 % and more."""


def fill_by_windows(
    rgb: Rgb,
    hole: Mask,
    choose: Callable[[Window], Window],
    fill: Callable[[Window, Mask], Rgb],
) -> Rgb:
    """Return a copy of `rgb` with its hole filled, one window of near parts after the other.

    choose: the window to work on for one that just holds some parts of the hole. fill: the filled
    pixels of a chosen window, of which the mask (at the window's size) marks the hole that is taken.
    Windows may overlap: cut what they show from the input, so that nothing made for one hole is shown
    to the next.
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
    """Yield at most six disjoint windows that together hold the whole hole, near parts in one."""
    if not hole.any():
        return
    cell = _CELL
    while True:
        cells = touched_blocks(hole, cell)
        near = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(near, connectivity=8)
        if count <= _MOST_BLOBS:
            boxes = _merged([_tight((labels == label) & cells) for label in range(1, count)])
            if len(boxes) <= _MOST_WINDOWS:
                break
        cell *= 2
    for box in boxes:
        rows, columns = (slice(side.start * cell, side.stop * cell) for side in box)
        y, x = _tight(hole[rows, columns])
        yield (
            slice(rows.start + y.start, rows.start + y.stop),
            slice(columns.start + x.start, columns.start + x.stop),
        )


def grown(window: Window, margin: int, shape: tuple[int, ...]) -> Window:
    """Return `window` with `margin` more pixels on every side, as far as a picture of `shape` reaches."""
    rows, columns = (
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, side in zip(window, shape, strict=False)
    )
    return rows, columns


def with_context(window: Window, hidden: Mask, margin: int) -> Window:
    """Return `window` grown by `margin` or more, until a third of it at least is to be seen.

    hidden: height x width of the picture, True where there is nothing to see. Where two thirds and
    more of the picture are hidden, that is all of it.
    """
    while True:
        found = grown(window, margin, hidden.shape)
        part = hidden[found]
        if part.shape == hidden.shape or np.count_nonzero(part) * 3 <= part.size * 2:
            return found
        margin *= 2


def around_hole(hole: Mask) -> Window:
    """Return the one window around a whole hole with the context that a model needs to see.

    It is square where the picture allows. The hole takes at least 15 % of it where the picture is
    large enough for context at all; without a hole it is the whole picture.
    """
    height, width = hole.shape
    box = bounds(hole)
    if box is None:
        return slice(0, height), slice(0, width)
    tall, wide = (side.stop - side.start for side in box)
    side = max(tall, wide)
    room = max(side * (1 + 2 * _CONTEXT), min((tall * wide / _LEAST_SHARE) ** 0.5, 2 * side))
    return _widened(box[0], round(room), height), _widened(box[1], round(room), width)


def _widened(side: slice, length: int, limit: int) -> slice:
    """Widen a side to `length`, its middle kept where 0..limit allows."""
    length = min(max(length, side.stop - side.start), limit)
    first = min(max(0, (side.start + side.stop - length) // 2), limit - length)
    return slice(first, first + length)


def _tight(mask: Mask) -> Window:
    """Return the bounds of a mask that is True somewhere."""
    box = bounds(mask)
    assert box is not None  # noqa: S101 - each part has a cell, and each cell a pixel
    return box


def _merged(boxes: list[Window]) -> list[Window]:
    """Merge windows that overlap until none do."""
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
