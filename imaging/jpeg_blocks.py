"""JPEG blocks: find how strongly a picture was compressed from its pixels, and take the blocks out.

The coefficients of a decoded JPEG's 8 x 8 blocks are multiples of the steps of its quantisation table,
as long as it was not resized since. From their histograms the steps are read (after Fan and de Queiroz,
"Identification of bitmap compression history", 2003). The blocks are removed by thresholding the
coefficients of shifted blocks and averaging (after Nosratinia, "Enhancement of JPEG-compressed images
by re-application of JPEG", 2001); what the file says about each coefficient is kept within bounds.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

_Plane = NDArray[np.float32]

_BLOCK = 8
_LUMA_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""The table for luma at quality 50 (ITU-T T.81, table K.1). Other qualities multiply it by a scale."""
_CHROMA_STEPS = np.full((_BLOCK, _BLOCK), 99, np.float32)
"""The table for chroma at quality 50 (table K.2)."""
_CHROMA_STEPS[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
_FREQUENCIES = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))
"""Rows and columns of the lowest frequencies, from which the scale is read."""
_STEPS = np.arange(3, 100)
_BIN = 0.25
_BINS = 2048
_LEAST_COEFFICIENTS = 40
_LEAST_SCORE = 0.7
_LEAST_FREQUENCIES = 4
_MAX_BLOCK_ROWS = 64
"""Rows of blocks that are looked at, spread over the picture."""
_LEAST_SCALE = 0.35
"""Below this scale, which is that of quality 82, blocks cannot be seen."""
_THRESHOLD, _BOUND = 0.5, 0.3
"""As shares of a step: smaller coefficients of shifted blocks become 0, and no coefficient of the picture's
own blocks changes by more. The file alone allows 0.5. Fitted to the mean gain of PSNR on half of the
photographs tried."""
_SHIFTS = [(y, x) for y in range(_BLOCK) for x in range(_BLOCK) if (x + y) % 2 == 0]
"""How far the blocks are shifted, in rows and columns: half of all 64 ways, a chessboard."""
_CHROMA_SHIFTS = [(y, x) for y, x in _SHIFTS if (x + 2 * y) % 8 < 2]
"""A quarter of them: chroma is smooth."""
_STRIP = 256
_MARGIN = 2 * _BLOCK
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
"""The colours of JPEG files and back (ITU-T T.871, JFIF)."""
_DCT = np.asarray(cv2.dct(np.eye(_BLOCK, dtype=np.float32), flags=cv2.DCT_ROWS).T, np.float32)
"""The orthonormal transform of a column of eight pixels."""


def remove_jpeg_blocks(rgb: Rgb) -> Rgb:
    """Return a picture without the blocks of strong JPEG compression; `rgb` itself if it has none.

    Height x width x 3, uint8. Blocks are looked for on the grid of a whole picture or of a cut or turned
    one. Nothing changes in a picture that was never a JPEG, was one of quality 85 or more (in the scale
    of libjpeg), or was resized since.
    """
    grid, scale = _compression(rgb)
    if scale < _LEAST_SCALE:
        return rgb
    result = np.empty_like(rgb)
    height = rgb.shape[0]
    for top in range(0, height, _STRIP):
        # Strips begin on the grid, where the picture's own blocks do.
        first = max(0, top - _MARGIN) if top else 0
        part = rgb[first : top + _STRIP + _MARGIN]
        cleaned = _clean(part, ((grid[0] - first) % _BLOCK, grid[1]), scale)
        result[top : top + _STRIP] = cleaned[top - first :][:_STRIP]
    return result


def _clean(rgb: Rgb, grid: tuple[int, int], scale: float) -> Rgb:
    """Return a picture without blocks. grid: row and column of the first corner of a block, 0..7."""
    planes = rgb.astype(np.float32) @ _TO_YCC.T
    for channel, table in enumerate((_LUMA_STEPS, _CHROMA_STEPS, _CHROMA_STEPS)):
        plane = np.ascontiguousarray(planes[..., channel])
        shifts = _CHROMA_SHIFTS if channel else _SHIFTS
        planes[..., channel] = _smoothed(plane, grid, scale * table, shifts) - plane
    changed = rgb + planes @ _TO_RGB.T
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def _smoothed(
    plane: _Plane, grid: tuple[int, int], steps: _Plane, shifts: Sequence[tuple[int, int]]
) -> _Plane:
    """Return a plane smoothed by its shifted blocks, its own blocks' coefficients kept within bounds.

    grid: row and column of the first corner of a block. steps: of the quantisation table, 8 x 8.
    """
    height, width = plane.shape
    top, left = (-grid[0] % _BLOCK + _BLOCK), (-grid[1] % _BLOCK + _BLOCK)
    below, right = (-(side % _BLOCK) % _BLOCK + _BLOCK for side in (height + top, width + left))
    # A block more on every side, so that all shifts cover the picture.
    border = cv2.BORDER_REFLECT_101
    framed = cv2.copyMakeBorder(plane, top, below, left, right, border)
    padded = np.asarray(framed, np.float32)
    total = np.zeros_like(padded)
    rows, columns = padded.shape[0] - _BLOCK, padded.shape[1] - _BLOCK
    least = np.tile(_THRESHOLD * steps, columns // _BLOCK)
    least[0, ::_BLOCK] = 0  # the mean of a block
    for y, x in shifts:
        part = slice(y, y + rows), slice(x, x + columns)
        shifted = _coefficients(padded[part])
        shifted[np.abs(shifted) < least] = 0
        total[part] += _pixels(shifted)
    inner = slice(_BLOCK, -_BLOCK), slice(_BLOCK, -_BLOCK)
    own = _coefficients(padded[inner])
    mean = _coefficients(total[inner] / np.float32(len(shifts)))
    bound = np.tile(_BOUND * steps, own.shape[2] // _BLOCK)
    bounded = _pixels(np.clip(mean, own - bound, own + bound))
    return bounded[top - _BLOCK :, left - _BLOCK :][:height, :width]


def _compression(rgb: Rgb) -> tuple[tuple[int, int], float]:
    """Return the grid of a picture's blocks and the scale of its quantisation table; 0 if it has none.

    grid: row and column of the first corner of a block.
    """
    scale = _scale(rgb)
    if scale:
        return (0, 0), scale
    grid = _grid(rgb)
    return grid, _scale(rgb[grid[0] :, grid[1] :])


def _grid(rgb: Rgb) -> tuple[int, int]:
    """Return the row and column, 0..7, at which the most abrupt steps between pixels repeat."""
    green = rgb[..., 1].astype(np.int16)
    return _period(np.abs(np.diff(green, 2, axis=0)).mean(axis=1)), _period(
        np.abs(np.diff(green, 2, axis=1)).mean(axis=0)
    )


def _period(bends: NDArray[np.float64]) -> int:
    """Return the first pixel of the blocks whose borders bend most. bends: of pixels 1 to the last but one."""
    # Both pixels beside a border bend.
    sums = [bends[phase::_BLOCK].mean() if bends.size > phase else 0 for phase in range(_BLOCK)]
    return int(np.argmax(np.add(sums, np.roll(sums, -1))) + 2) % _BLOCK


def _scale(rgb: Rgb) -> float:
    """Return by what the table for quality 50 was multiplied, from blocks at the first pixel; 0 if unknown."""
    coefficients = np.abs(_whole_blocks(rgb))
    found = []
    for row, column in _FREQUENCIES:
        step = _step(coefficients[:, row, column])
        if step:
            found.append(step / _LUMA_STEPS[row, column])
    return float(np.median(found)) if len(found) >= _LEAST_FREQUENCIES else 0.0


def _whole_blocks(rgb: Rgb) -> _Plane:
    """Return the luma coefficients of blocks spread over a picture: number x 8 x 8.

    Blocks with clipped colours, 0 or 255, are left out: their coefficients are no multiples any more.
    """
    down, across = rgb.shape[0] // _BLOCK, rgb.shape[1] // _BLOCK
    rows = np.unique(np.linspace(0, max(down - 1, 0), _MAX_BLOCK_ROWS).astype(int))[:down]
    blocks = [
        rgb[_BLOCK * row : _BLOCK * (row + 1), : _BLOCK * across].reshape(_BLOCK, across, _BLOCK, 3)
        for row in rows
    ]
    if not blocks or not across:
        return np.zeros((0, _BLOCK, _BLOCK), np.float32)
    strip = np.concatenate(blocks, axis=1)
    whole = strip[:, (strip.min(axis=(0, 2, 3)) > 0) & (strip.max(axis=(0, 2, 3)) < 255)]
    luma = (whole.astype(np.float32) @ _TO_YCC[0]).transpose(1, 0, 2)
    return np.asarray(_DCT @ luma @ _DCT.T, np.float32)


def _step(coefficients: _Plane) -> int:
    """Return the step that the magnitudes of one frequency's coefficients are multiples of; 0 if unknown.

    Of the candidates, the one with the highest mean cosine of the phase wins. Coefficients below a
    quarter of a step say nothing; if not quantised, those between a quarter and three speak against it.
    """
    counts = np.histogram(coefficients, _BINS, (0, _BINS * _BIN))[0]
    used, cosines = _cosines()
    amounts = used @ counts
    scores = np.where(amounts >= _LEAST_COEFFICIENTS, cosines @ counts / np.maximum(amounts, 1), 0)
    best = int(scores.argmax())
    return int(_STEPS[best]) if scores[best] > _LEAST_SCORE else 0


@cache
def _cosines() -> tuple[_Plane, _Plane]:
    """Return, for each step and each bin of the histogram, whether the bin counts, and its cosine if so."""
    magnitudes = (np.arange(_BINS) + 0.5) * _BIN
    used = magnitudes > _STEPS[:, None] / 4
    cosines = used * np.cos(2 * np.pi * magnitudes / _STEPS[:, None])
    return used.astype(np.float32), cosines.astype(np.float32)


def _coefficients(plane: _Plane) -> _Plane:
    """Return the DCT of the blocks of a plane: rows of blocks x 8 x columns."""
    stacked = np.ascontiguousarray(plane).reshape(-1, _BLOCK, plane.shape[1])
    columns = np.matmul(_DCT, stacked)
    return np.asarray((columns.reshape(-1, _BLOCK) @ _DCT.T).reshape(columns.shape), np.float32)


def _pixels(coefficients: _Plane) -> _Plane:
    """Return the plane of a result of `_coefficients`."""
    width = coefficients.shape[2]
    rows = (coefficients.reshape(-1, _BLOCK) @ _DCT).reshape(coefficients.shape)
    return np.asarray(np.matmul(_DCT.T, rows).reshape(-1, width), np.float32)
