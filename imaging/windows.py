"""Where the holes of a picture are: windows that hold near ones together, with room around."""

from collections.abc import Iterator

import cv2
import numpy as np

from imaging.masks import touched_blocks
from imaging.picture import Mask

Window = tuple[slice, slice]
"""Rows and columns of the picture."""
Box = tuple[int, int, int, int]
"""Top, bottom, left, right; bottom and right are past the end."""

_CELL = 32  # holes nearer than one to two cells are filled together
_MOST_WINDOWS = 6
_MOST_BLOBS = 64


def around_holes(hole: Mask) -> Iterator[Window]:
    """Give at most six disjoint windows that together hold the whole hole, near parts in one."""
    if not hole.any():
        return
    cell = _CELL
    while True:
        cells = touched_blocks(hole, cell)
        near = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8))
        count, labels = cv2.connectedComponents(near, connectivity=8)
        if count <= _MOST_BLOBS:
            boxes = _merged([_box((labels == label) & cells) for label in range(1, count)])
            if len(boxes) <= _MOST_WINDOWS:
                break
        cell *= 2
    for top, bottom, left, right in boxes:
        rough = (slice(top * cell, bottom * cell), slice(left * cell, right * cell))
        y0, y1, x0, x1 = _box(hole[rough])
        yield (
            slice(rough[0].start + y0, rough[0].start + y1),
            slice(rough[1].start + x0, rough[1].start + x1),
        )


def grown(window: Window, margin: int, shape: tuple[int, ...]) -> Window:
    """Give `window` with `margin` more pixels on every side, as far as the picture reaches."""
    rows, columns = (
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, side in zip(window, shape, strict=False)
    )
    return rows, columns


def _box(mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _merged(boxes: list[Box]) -> list[Box]:
    """Merge boxes that overlap until none do."""
    done: list[Box] = []
    while boxes:
        box = boxes.pop()
        for other in done:
            if box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]:
                done.remove(other)
                boxes.append(
                    (
                        min(box[0], other[0]),
                        max(box[1], other[1]),
                        min(box[2], other[2]),
                        max(box[3], other[3]),
                    )
                )
                break
        else:
            done.append(box)
    return done
