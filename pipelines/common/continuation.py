"""Continue a subject that the border of a picture cuts: its outline there, and a check of its fill."""

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Mask, Rgb, Window

_RIM = 3  # pixels along the border that decide where it cuts the subject
_LEAST_CONTACT = 0.05  # of the side: shorter contacts are not continued
_BAND = 0.15  # of the visible part's side: depth from which the outline's direction is read
_STEEPEST = 1.2  # pixels sideways for each pixel outwards
_DEEPEST = 1.5  # of a contact's length: a continuation that is deeper would need another shape
_STRIP = 8  # rows on each side of the border that are compared
_SEAM_FACTOR, _SEAM_OFFSET = 2.5, 4.0  # levels of CIELAB
_DETAIL_RANGE = 0.35, 2.5  # of the subject's: less detail is a smear, more is a tear


def continued_outlines(
    subject: Mask, heads: Mask, window: Window, shape: tuple[int, int]
) -> Iterator[Mask]:
    """Yield the outline of the subject beyond each side that cuts it: masks of the canvas, without the picture.

    subject, heads: height x width of the visible part, True inside. window: the part's place on the
    canvas. shape: height and width of the canvas. The edges of the outline go on as they cross the
    border and bend until they are at a right angle to it. A side where a head is cut, that cuts a narrow
    piece, or whose margin is deep for the piece, yields nothing.
    """
    rows, columns = window
    margins = (shape[0] - rows.stop, columns.start, rows.start, shape[1] - columns.stop)
    for turns in range(4):
        # Turned by 90 degrees counterclockwise, the next margin comes to the bottom: left, top, right.
        depth, before, after = margins[turns], margins[(turns + 1) % 4], margins[(turns + 3) % 4]
        if depth == 0:
            continue
        turned, turned_heads = np.rot90(subject, turns), np.rot90(heads, turns)
        below = _below(turned, turned_heads, depth, before, after)
        if below is None:
            continue
        canvas = np.zeros(np.rot90(np.zeros(shape, np.bool_), turns).shape, np.bool_)
        canvas[-depth:] = below
        yield np.ascontiguousarray(np.rot90(canvas, -turns))


def _below(subject: Mask, heads: Mask, depth: int, before: int, after: int) -> Mask | None:
    """Return the outline below the subject: depth x (before + width + after), or None."""
    height, width = subject.shape
    outline = np.zeros((depth, before + width + after), np.bool_)
    rim = subject[-_RIM:].mean(axis=0) > 0.5
    starts = np.flatnonzero(np.diff(np.pad(rim, 1).astype(np.int8)) == 1)
    stops = np.flatnonzero(np.diff(np.pad(rim, 1).astype(np.int8)) == -1)
    band = max(2, round(_BAND * height))
    away = np.arange(1, depth + 1)
    bend = band * (1 - np.exp(-away / band))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if stop - start < _LEAST_CONTACT * width or depth > _DEEPEST * (stop - start):
            continue
        if heads[-_RIM:, start:stop].any():
            continue
        left_slope, right_slope = _slopes(subject[-band:], start, stop)
        left = start + before + left_slope * bend if start > 0 else before - away
        right = stop + before + right_slope * bend if stop < width else before + width + away
        x = np.arange(outline.shape[1])
        outline |= (x >= left[:, None]) & (x < right[:, None])
    return outline if outline.any() else None


def _slopes(band: Mask, start: int, stop: int) -> tuple[float, float]:
    """Return how far the left and the right edge of a piece move sideways for each row down.

    band: the lowest rows of the subject. start, stop: the columns of the piece in its last row.
    """
    middle = (start + stop) // 2
    edges = []
    for row in band[::-1]:
        if not row[middle]:
            break
        gaps = np.flatnonzero(~row)
        left, right = gaps[gaps < middle], gaps[gaps > middle]
        edges.append((left[-1] + 1 if left.size else 0, right[0] if right.size else len(row)))
    if len(edges) < 3:
        return 0.0, 0.0
    at = -np.arange(len(edges))
    slopes = np.polyfit(at, np.array(edges, float), 1)[0].clip(-_STEEPEST, _STEEPEST)
    return float(slopes[0]), float(slopes[1])


def is_good_continuation(filled: Rgb, subject: Mask, outline: Mask) -> bool:
    """Whether a filled outline looks like more of the subject: no step at the border, and as much detail.

    filled: the canvas, height x width x 3. subject: True on the subject within the picture. outline:
    True where the subject was continued. The step of colour at the border is compared with that between
    strips of the subject, and the detail with that of the subject near the border.
    """
    distance = cv2.distanceTransform((~outline).view(np.uint8), cv2.DIST_L2, 3)
    depth = cv2.distanceTransform((~subject).view(np.uint8), cv2.DIST_L2, 3)
    lab = cv2.cvtColor(filled, cv2.COLOR_RGB2LAB).astype(np.float32)
    inner = [subject & (distance > i * _STRIP) & (distance <= (i + 1) * _STRIP) for i in range(3)]
    outer = outline & (depth <= _STRIP)
    if not outer.any() or not inner[0].any():
        return False
    steps = [_step(lab, a, b) for a, b in itertools.pairwise(inner) if b.any()]
    usual = max(steps, default=0.0)
    if _step(lab, outer, inner[0]) > _SEAM_FACTOR * usual + _SEAM_OFFSET:
        return False
    detail = np.abs(cv2.Laplacian(lab[..., 0], cv2.CV_32F))
    near = subject & (distance <= 8 * _STRIP)
    ratio = float(detail[outline].mean() + 1) / float(detail[near].mean() + 1)
    return _DETAIL_RANGE[0] <= ratio <= _DETAIL_RANGE[1]


def _step(lab: NDArray[np.float32], a: Mask, b: Mask) -> float:
    """Return the distance of two strips' mean colours."""
    return float(np.linalg.norm(lab[a].mean(axis=0) - lab[b].mean(axis=0)))
