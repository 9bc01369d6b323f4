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
_LOSSY_SHARE = 0.9
"""Two levels have at least this share of the pixels of a lossy mask; its edges have the rest."""
_RINGING_SHARE = 0.2
"""Ringing lifts at most this share of the higher level's pixels above 127."""
_RARE_SHARE = 0.01
"""Colours on a smaller share of the pixels are noise."""
_FAINT = 12
"""An alpha up to this, 5 % opacity, is not a stroke that anybody sees."""
_SAMPLED_PIXELS = 1 << 16
_STRIP_PIXELS = 1 << 20


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Return the mask in a file, height x width: 255 means edit, 0 means keep.

    A colour counts by its luminance (ITU-R BT.601). If each pixel is near one of two levels that are
    apart, the higher is white, whatever they are, also if both are dark and a lossy codec has blurred
    them; else a pixel is white above 127. Strokes on an empty canvas are read by their alpha, whatever
    their colours: what has at least half of the highest is edited. If they are black and white, only
    white is edited. docs/decisions/0014-how-masks-are-read.md has the reasons.

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
        marked = _read_strokes(alpha)
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
    if level is None:
        level = _gap_of_lossy(grey)
    if level is None and len(levels) == 2 and levels[1] <= THRESHOLD:
        level = int(levels[0])  # two exact levels close together, such as the labels 0 and 1
    return _above(grey, level)


def _gap_of_lossy(grey: NDArray[np.uint8]) -> int | None:
    """Return the level between two dark levels whose edges a lossy codec has blurred; None for all other masks.

    Without it, the few pixels that ringing lifts above 127 would be all that is edited.
    """
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()
    near = np.convolve(counts, np.ones(2 * _LEVEL_SPREAD + 1), "same")
    low = int(counts.argmax())
    others = np.where(np.abs(np.arange(256) - low) > 2 * _LEVEL_SPREAD, counts, 0)
    high = int(others.argmax())
    low, high = min(low, high), max(low, high)
    is_flat = near[low] + near[high] >= _LOSSY_SHARE * grey.size
    is_rare = counts[THRESHOLD + 1 :].sum() < _RINGING_SHARE * near[high]
    apart = np.minimum(np.abs(np.arange(256) - low), np.abs(np.arange(256) - high))
    has_third = near[apart > 2 * _LEVEL_SPREAD].max(initial=0) > _RINGING_SHARE * near[high]
    is_dark = (
        counts[low] > 0 < counts[high] and high <= THRESHOLD and high - low > 2 * _LEVEL_SPREAD
    )
    return (low + high) // 2 if is_flat and is_rare and is_dark and not has_third else None


def _read_strokes(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where strokes on an empty canvas are, else 0. Raises NothingMarkedError.

    A faint brush paints over its own strokes, and has soft edges: half of the highest alpha is a stroke.
    """
    highest = int(alpha.max())
    if highest <= _FAINT:
        raise NothingMarkedError(f"its highest level is {highest} of 255")
    level = _gap(_levels(alpha))
    return _above(alpha, (highest - 1) // 2 if level is None else level)


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
    sample, on_border = _sample(samples, painted), _painted_border(painted)
    if on_border > 0.5:
        # The transparent part may be what is to be edited, unless all the rest is exactly white: a product on
        # a plain backdrop has shades, or another colour.
        if sample.min() < 255:
            raise UnclearMaskError
        return True
    colours = _flat_colours(sample)
    if not colours:
        raise UnclearMaskError
    levels = [int(colour.max()) for colour in colours]
    if on_border == 0.5 and max(levels) <= THRESHOLD:  # one half of a black canvas
        raise UnclearMaskError
    is_grey = all(np.ptp(colour) <= _LEVEL_SPREAD for colour in colours)
    return is_grey and min(levels) <= 2 * _LEVEL_SPREAD and max(levels) > THRESHOLD


def _painted_border(painted: NDArray[np.bool_]) -> float:
    """Return which share of the border is painted, 0..1."""
    border = np.concatenate([painted[0], painted[-1], painted[:, 0], painted[:, -1]])
    return float(border.mean())


def _sample(samples: Samples, painted: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the colours of about 65,536 painted pixels, n x 3."""
    step = max(1, np.count_nonzero(painted) // _SAMPLED_PIXELS)
    rows = max(1, _STRIP_PIXELS // painted.shape[1])
    strips = [slice(top, top + rows) for top in range(0, len(painted), rows)]
    colours = np.concatenate([samples[strip][painted[strip]][::step] for strip in strips])
    return np.broadcast_to(colours.reshape(len(colours), -1), (len(colours), 3)).astype(np.int16)


def _flat_colours(colours: NDArray[np.int16]) -> list[NDArray[np.int16]]:
    """Return the colours of strokes, the most common first; an empty list if they vary like a photograph's.

    colours: of pixels, n x 3.
    """
    flat: list[NDArray[np.int16]] = []
    rest = colours
    while len(rest) > _RARE_SHARE * len(colours) and len(flat) < _MOST_COLOURS:
        values, counts = np.unique(rest @ np.array([1 << 16, 1 << 8, 1]), return_counts=True)
        value = int(values[counts.argmax()])
        colour = np.array([value >> 16, value >> 8 & 255, value & 255], np.int16)
        flat.append(colour)
        rest = rest[(np.abs(rest - colour) > _COLOUR_SPREAD).any(axis=1)]
    return flat if len(rest) <= (1 - _FLAT_SHARE) * len(colours) else []
