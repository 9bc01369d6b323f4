"""The face detector of profile `lite`: CenterFace, with a second look at every face that it doubts.

Xu, Yan, Yang, Wang and Zhang, "CenterFace: Joint Face Detection and Alignment Using Face as Point",
2019 (arXiv:1911.03599). The weights are those of https://github.com/Star-Clouds/CenterFace (MIT).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from imaging.resize import Size, resize, scaled
from models.backends.onnx.detected_face import ROW, DetectedFace, distinct, largest_first
from models.backends.onnx.face_crops import affine_crop
from models.backends.onnx.rewritten_cache import any_size_network
from models.backends.onnx.sessions import Sessions
from models.processors import usable_processors

Float = NDArray[np.float32]

_PIXELS = 400_000
"""Number of pixels at which faces are searched: about half of the time that dlib's detector took at
2 megapixels. A face is found from about 8 pixels there."""
_MAX_ENLARGEMENT = 2.0
_STRIDE = 4
"""Pixels of the input for each cell of the network's maps."""
_MULTIPLE = 32
_MAX_LOG_SIDE = 8.0
"""Natural logarithm of the largest side of a box, in cells: e^8 is far beyond any input."""

_CANDIDATE, _CERTAIN = 0.2, 0.7
"""Scores at the first look: below the first there is no face, from the second there is one. In
between, a second look decides."""
_MIN_SCORE = 0.43
"""Least score of a second look. On photographs, real faces score 0.5 to 0.9 there, and textures that
resemble a face in one size and position at most 0.34. The faces of apes score up to 0.8."""
_LOOKS = ((96, 24), (128, 40))
"""The windows of a second look: side, and side of the face in the middle, in pixels. What only
resembles a face does so less when it is small."""
_SAME_FACE = 0.3
"""Least intersection over union of the box at the first and the second look."""
_FACES_AT_ONCE = 8
"""Faces in one call: more take more memory and are no faster."""


class CenterFace:
    """A `FaceDetector`: finds faces of 30 pixels in a picture of 2 megapixels, up to ones that fill it."""

    def __init__(self, weights: Path, threads: int = 1) -> None:
        """Load `weights` (centerface.onnx). threads: CPU threads of one call."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Sizes differ from picture to picture, so a memory pattern would be made for each.
        options.enable_mem_pattern = False
        # Only errors: onnxruntime warns about every counter that the training has left in the file.
        options.log_severity_level = 3
        network = any_size_network(weights)
        self._sessions = Sessions(
            lambda: ort.InferenceSession(network, options, providers=["CPUExecutionProvider"]),
            limit=max(1, usable_processors() // threads),
        )

    def detect(self, rgb: Rgb) -> list[DetectedFace]:
        """Return the faces of `rgb`, largest first, at most 64, with scores of at least 0.43."""
        rows = distinct(self._first_look(rgb))
        doubted = rows[:, 14] < _CERTAIN
        rows[doubted, 14] = self._second_look(rgb, rows[doubted])
        return largest_first(rows[rows[:, 14] >= _MIN_SCORE])

    def _first_look(self, rgb: Rgb) -> Float:
        """Return every box of the whole picture, n x 15, in pixels of `rgb`."""
        height, width = rgb.shape[:2]
        size = search_size(width, height)
        maps = self._run(search_input(rgb, size))
        rows = decode([part[0] for part in maps], _CANDIDATE)
        rows[:, :14] *= np.tile(np.array([width / size[0], height / size[1]], np.float32), 7)
        return rows

    def _second_look(self, rgb: Rgb, rows: Float) -> Float:
        """Return new scores (n): the mean over windows around each face, straight and mirrored."""
        scores = np.zeros(len(rows), np.float32)
        for start in range(0, len(rows), _FACES_AT_ONCE):
            some = slice(start, start + _FACES_AT_ONCE)
            looks = [self._look(rgb, rows[some], side, face) for side, face in _LOOKS]
            scores[some] = np.mean(looks, axis=0)
        return scores

    def _look(self, rgb: Rgb, rows: Float, side: int, face: int) -> Float:
        """Return the score (n) of each face in the middle of its window of that size."""
        windows = np.stack([look_window(rgb, row, side, face) for row in rows])
        maps = self._run(_tensor(np.concatenate([windows, windows[:, :, ::-1]])))
        found = [
            _middle_score([part[i] for part in maps], side, face) for i in range(2 * len(rows))
        ]
        scores: Float = np.array(found, np.float32).reshape(2, -1).mean(axis=0)
        return scores

    def _run(self, tensor: Float) -> list[Float]:
        """Run the network. Return its four maps: heat, scale, offset, landmarks."""
        with self._sessions.use() as session:
            name = session.get_inputs()[0].name
            return cast(list[Float], session.run(None, {name: tensor}))


def search_size(width: int, height: int) -> Size:
    """Return the size at which a picture is searched: about 400,000 pixels, at most twice its own."""
    scale = min(_MAX_ENLARGEMENT, math.sqrt(_PIXELS / (width * height)))
    return scaled(width, height, scale)


def search_input(rgb: Rgb, size: Size) -> Float:
    """Return the network's input: 1 x 3 x H x W, float32, RGB 0..255, sides multiples of 32.

    The publisher's code passes RGB without normalisation, and stretches the picture to the next
    multiples of 32. Here it is padded with black at the right and below instead, so that faces keep
    their shape. size: width and height of the picture in it.
    """
    width, height = size
    padded = np.zeros((_up(height), _up(width), 3), np.uint8)
    padded[:height, :width] = resize(rgb, size, cv2.INTER_LINEAR)
    return _tensor(padded[None])


def look_window(rgb: Rgb, row: Float, side: int, face: int) -> Rgb:
    """Return a window around a face, side x side x 3: the face has `face` pixels, in the middle.

    row: see ROW. It is black outside the picture.
    """
    x, y, width, height = (float(value) for value in row[:4])
    scale = face / max(math.sqrt(width * height), 1e-3)
    shift = side / 2 - scale * np.array([x + width / 2, y + height / 2])
    return affine_crop(rgb, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), side)


def decode(maps: Sequence[Float], least: float) -> Float:
    """Return the boxes of one picture, n x 15 (see ROW), in pixels of the network's input.

    maps: heat (1 x h x w, 0..1), scale (2), offset (2) and landmarks (10), each with y before x, as
    in the paper: a cell above `least` is the centre of a face; its offset is in cells, its scale the
    logarithm of the sides in cells, and its landmarks are shares of the box.
    """
    heat, scale, offset, landmarks = maps
    rows, columns = np.nonzero(heat[0] > least)
    high, wide = _STRIDE * np.exp(scale[:, rows, columns].clip(-_MAX_LOG_SIDE, _MAX_LOG_SIDE))
    top = (rows + offset[0, rows, columns] + 0.5) * _STRIDE - high / 2
    left = (columns + offset[1, rows, columns] + 0.5) * _STRIDE - wide / 2
    points = landmarks[:, rows, columns].reshape(5, 2, -1)
    xy = np.stack([left + points[:, 1] * wide, top + points[:, 0] * high], axis=1).reshape(10, -1)
    found = np.stack([left, top, wide, high, *xy, heat[0, rows, columns]], axis=1)
    return found.reshape(-1, ROW).astype(np.float32)


def _middle_score(maps: Sequence[Float], side: int, face: int) -> float:
    """Return the highest score of a box that covers the middle face of a window; 0 if there is none."""
    rows = decode(maps, _MIN_SCORE / 10)
    if not len(rows):
        return 0.0
    start, end = (side - face) / 2, (side + face) / 2
    sides = np.minimum(rows[:, :2] + rows[:, 2:4], end) - np.maximum(rows[:, :2], start)
    shared = sides.clip(0).prod(axis=1)
    union = rows[:, 2] * rows[:, 3] + face**2 - shared
    return float(np.where(shared >= _SAME_FACE * union, rows[:, 14], 0).max())


def _tensor(pictures: Rgb) -> Float:
    """Return n x 3 x h x w, float32, from n x h x w x 3."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)


def _up(side: int) -> int:
    return -(-side // _MULTIPLE) * _MULTIPLE
