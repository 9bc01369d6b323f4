"""Reads mask files: which pixels of a mask of any kind are to be edited."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.errors import NothingMarkedError, UnclearMaskError
from imaging.files.decode import decode_samples, upright
from imaging.files.header import Container, read_container
from imaging.files.icc import Samples, to_srgb
from imaging.files.png_decoder import decode_png
from imaging.masks import THRESHOLD

_LEVEL_SPREAD = 8
"""A pixel of a clean mask differs at most this much from one of its two levels, as in a good JPEG."""
_MOST_COLOURS = 8
"""Strokes have at most this many colours."""
_COLOUR_SPREAD = 4
"""A canvas stores colours multiplied by alpha, which changes them by a few levels."""
_FLAT_SHARE = 0.5
"""Strokes have one of their colours on at least this share of their pixels; soft brushes mix them elsewhere.
Measured: drawn strokes 0.64 to 1.0; photographs with a hole, and objects cut out of them, 0.08 to 0.32."""
_RARE_SHARE = 0.01
"""Colours on a smaller share of the pixels are noise."""
_SAMPLED_PIXELS = 1 << 16
_STRIP_PIXELS = 1 << 20


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Return the mask in a file, height x width: 255 means edit, 0 means keep.

    A colour counts by its luminance (ITU-R BT.601). If each pixel is near one of two levels that are
    apart, the higher is white, whatever they are; else a pixel is white above 127. Strokes on an empty
    canvas are read by their alpha, whatever their colours; if they are black and white, only white is
    edited. docs/decisions/0014-how-masks-are-read.md has the reasons.

    Raises NothingMarkedError if no pixel is to be edited, UnclearMaskError for a picture with
    transparent parts; EmptyPictureError, NotAPictureError or DamagedPictureError.
    """
    found = read_container(data)
    samples, alpha = decode_samples(found)
    if found.mode == "I;16":
        samples = _unscaled(found, samples)
    # A pixel counts as painted with half of the highest alpha, because a brush can be faint.
    painted = None if alpha is None else alpha >= max(1, (int(alpha.max()) + 1) // 2)
    if alpha is None or painted is None or painted.all():
        marked = _read_grey(_luminance(samples))
    elif not painted.any():
        raise NothingMarkedError("it is completely transparent")
    elif _is_black_and_white(samples, painted):
        visible = cv2.multiply(_luminance(samples), alpha, scale=1 / 255)
        marked = _read_grey(np.asarray(visible, np.uint8))
    else:
        marked = _above(alpha, _gap(_levels(alpha)))
    return upright(marked, found.orientation)


def _unscaled(found: Container, samples: Samples) -> Samples:
    """Return 16-bit grey as it is stored if all its values fit into 8 bits, as those of labels do."""
    if samples.max() > 1:  # 255 of 65535 is scaled to 1
        return samples
    stored = decode_png(found)[..., 0]
    return stored.astype(np.uint8) if stored.max() <= 255 else samples


def _luminance(samples: Samples) -> NDArray[np.uint8]:
    """Return grey samples unchanged, or the luminance of colours (ITU-R BT.601), height x width."""
    if samples.ndim == 2:
        return samples
    # The profile is not applied: the numbers of a mask are not colours.
    return np.asarray(cv2.cvtColor(to_srgb(samples, None), cv2.COLOR_RGB2GRAY), np.uint8)


def _read_grey(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where a grey mask is white, else 0. Raises NothingMarkedError."""
    levels = _levels(grey)
    level = _gap(levels)
    if level is None and len(levels) == 2 and levels[1] <= THRESHOLD:
        level = int(levels[0])  # two exact levels close together, such as the labels 0 and 1
    return _above(grey, level)


def _above(grey: NDArray[np.uint8], level: int | None) -> NDArray[np.uint8]:
    """Return 255 above a level (None: 127), else 0. Raises NothingMarkedError if no pixel is above it."""
    _, marked = cv2.threshold(grey, THRESHOLD if level is None else level, 255, cv2.THRESH_BINARY)
    if not cv2.hasNonZero(marked):
        raise NothingMarkedError(f"its highest level is {grey.max()} of 255")
    return np.asarray(marked, np.uint8)


def _levels(grey: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the levels that occur, in ascending order."""
    return np.flatnonzero(cv2.calcHist([grey], [0], None, [256], [0, 256]))


def _gap(levels: NDArray[np.intp]) -> int | None:
    """Return the highest of the lower levels if they form two clean levels that are apart, else None."""
    steps = np.diff(levels)
    if not steps.size:
        return None
    low, high = np.split(levels, [int(steps.argmax()) + 1])
    is_clean = max(np.ptp(low), np.ptp(high)) <= 2 * _LEVEL_SPREAD < steps.max()
    return int(low[-1]) if is_clean else None


def _is_black_and_white(samples: Samples, painted: NDArray[np.bool_]) -> bool:
    """Whether what is painted on a transparent canvas is black and white, so that only white is edited.

    If not, it is strokes, and their alpha is the mask. Raises UnclearMaskError if it may be a picture.
    """
    is_full = _covers_border(painted)
    colours = _flat_colours(_sample(samples, painted), 0 if is_full else _RARE_SHARE)
    levels = [int(colour.max()) for colour in colours]
    # If the canvas is not empty, its transparent part may be what is to be edited.
    if not colours or (is_full and (len(colours) > 1 or levels[0] <= THRESHOLD)):
        raise UnclearMaskError
    is_grey = all(np.ptp(colour) <= _LEVEL_SPREAD for colour in colours)
    return is_grey and min(levels) <= 2 * _LEVEL_SPREAD and max(levels) > THRESHOLD


def _covers_border(painted: NDArray[np.bool_]) -> bool:
    """Whether more than half of the border is painted."""
    border = np.concatenate([painted[0], painted[-1], painted[:, 0], painted[:, -1]])
    return bool(border.mean() > 0.5)


def _sample(samples: Samples, painted: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the colours of about 65,536 painted pixels, n x 3."""
    step = max(1, np.count_nonzero(painted) // _SAMPLED_PIXELS)
    rows = max(1, _STRIP_PIXELS // painted.shape[1])
    strips = [slice(top, top + rows) for top in range(0, len(painted), rows)]
    colours = np.concatenate([samples[strip][painted[strip]][::step] for strip in strips])
    return np.broadcast_to(colours.reshape(len(colours), -1), (len(colours), 3)).astype(np.int16)


def _flat_colours(colours: NDArray[np.int16], rare: float) -> list[NDArray[np.int16]]:
    """Return the colours of strokes, the most common first; an empty list if they vary like a photograph's.

    colours: of pixels, n x 3. rare: the share of the pixels that may have any colour, 0..1.
    """
    flat: list[NDArray[np.int16]] = []
    rest = colours
    while len(rest) > rare * len(colours) and len(flat) < _MOST_COLOURS:
        values, counts = np.unique(rest @ np.array([1 << 16, 1 << 8, 1]), return_counts=True)
        value = int(values[counts.argmax()])
        colour = np.array([value >> 16, value >> 8 & 255, value & 255], np.int16)
        flat.append(colour)
        rest = rest[(np.abs(rest - colour) > _COLOUR_SPREAD).any(axis=1)]
    return flat if len(rest) <= (1 - _FLAT_SHARE) * len(colours) else []
