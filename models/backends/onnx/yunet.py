"""The face detector of profile `cpu` and of those for a GPU: YuNet, run by OpenCV's own class.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023: the file of OpenCV's model
zoo (face_detection_yunet_2023mar.onnx, MIT). The tests run a tiny file with the same interface.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from imaging.resize import resize, within_side
from models.backends.onnx.detected_face import ROW, DetectedFace, distinct, largest_first
from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

_SIDES = (1280, 320)
"""Longest sides, in pixels, of the two copies in which faces are detected. YuNet finds faces of 10
to 300 pixels: those of a crowd in the larger copy, a face that fills the picture in the smaller
one."""
_MULTIPLE = 32
_MIN_SCORE = 0.8
"""Least score. On 16 photographs, 0.8 found all 31 faces and nothing else."""
_NMS = 0.3


class YuNet:
    """A `FaceDetector`. It takes one call at a time, because OpenCV's class has state."""

    def __init__(self, file: Path) -> None:
        """Load an ONNX file; raises BadWeightsError."""
        check_file(file)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(file), "", (_MULTIPLE, _MULTIPLE), _MIN_SCORE, _NMS, 5000
            )
            self._run(np.zeros((_MULTIPLE, _MULTIPLE, 3), np.uint8))
        except cv2.error as error:
            raise BadWeightsError(f"{file} is not a YuNet detector: {first_line(error)}") from error

    def detect(self, rgb: Rgb) -> list[DetectedFace]:
        """Return the faces of `rgb`, largest first, at most 64, with scores of at least 0.8."""
        return largest_first(distinct(np.concatenate([self._find(rgb, side) for side in _SIDES])))

    def _find(self, rgb: Rgb, side: int) -> NDArray[np.float32]:
        """Detect faces in a copy with the longest side `side`; return n x 15 in pixels of `rgb`."""
        height, width = rgb.shape[:2]
        size = within_side(width, height, side)
        rows = self._run(detector_input(rgb, side))
        rows[:, :14] *= np.tile(np.array([width / size[0], height / size[1]], np.float32), 7)
        return rows

    def _run(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the detector. Return n x 15; see `models.backends.onnx.detected_face.ROW`."""
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        return np.zeros((0, ROW), np.float32) if rows is None else np.array(rows, np.float32)


def detector_input(rgb: Rgb, side: int) -> NDArray[np.uint8]:
    """Return what OpenCV's class is given: BGR, uint8, 0..255, longest side at most `side`.

    The class pads it to multiples of 32 and passes it to the network without normalisation.
    """
    size = within_side(rgb.shape[1], rgb.shape[0], side)
    return np.ascontiguousarray(resize(rgb, size)[..., ::-1], np.uint8)
