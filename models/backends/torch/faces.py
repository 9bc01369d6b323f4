"""The face analysis model of profile `open`: YuNet finds faces, FairFace estimates age and gender.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023: the file of OpenCV's model
zoo (face_detection_yunet_2023mar.onnx, MIT), run by OpenCV's own class. Karkkainen and Joo,
"FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age", WACV 2021: an ONNX file.
FairFace also estimates race: that output is ignored. Expression and glasses are not estimated. Not
tested with the full weights.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from imaging.resize import resize, within_side
from models.backends.dlib.faces import Pose
from models.backends.torch.checkpoints import check_file, first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.roles import Face

_SIDES = (1280, 320)
"""Longest sides, in pixels, of the two copies in which faces are detected. YuNet finds faces of 10
to 300 pixels: those of a crowd in the larger copy, a face that fills the picture in the smaller
one."""
_MULTIPLE = 32
_MIN_SCORE = 0.7
_SAME = 0.5
"""Two boxes show the same face if more than this share of the smaller one is inside the other."""
_NMS = 0.3
_MAX_FACES = 64

_SIDE = 224
_FRAME = 1.5
"""Side of FairFace's crop divided by the face's longer side. It equals dlib's padding of 0.25, as in training."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
AGE_BINS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 100))
"""FairFace's age classes, in years. The last one is "more than 70"."""
_RACES, _GENDERS = 7, 2
_OUTPUTS = _RACES + _GENDERS + len(AGE_BINS)
_MIN_AGE_PROBABILITY = 0.5
_MIN_GENDER_PROBABILITY = 0.8

_DEPTH_TO_WIDTH = 0.636
"""Distance of the tip of the nose in front of the eyes, divided by the distance of the eyes'
centres: (7.476 - 3.466) / 6.302 on MediaPipe's canonical face model (canonical_face_model.obj)."""


class YuNetFaces:
    """Implements the role `models.roles.FaceAnalysis`.

    One call at a time: the detector has state.
    """

    def __init__(
        self, detector: Path, attributes: Path | None, device_config: DeviceConfig
    ) -> None:
        """Load ONNX files; raises BadWeightsError.

        attributes: FairFace; None to estimate no age and no gender. Both networks always run on the
        CPU, where they take milliseconds.
        """
        check_file(detector)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(detector), "", (_MULTIPLE, _MULTIPLE), _MIN_SCORE, _NMS, 5000
            )
            self._detect(np.zeros((_MULTIPLE, _MULTIPLE, 3), np.uint8))
        except cv2.error as error:
            raise BadWeightsError(
                f"{detector} is not a YuNet detector: {first_line(error)}"
            ) from error
        self._attributes = (
            None if attributes is None else _session(attributes, device_config.threads)
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the files of YuNet and FairFace, or the folder of both."""
        detector, attributes = paths if len(paths) == 2 else sorted(paths[0].glob("*.onnx"))[::-1]
        return cls(detector, attributes, device_config)

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Return the faces of `rgb`, largest first, at most 64."""
        rows = _distinct(np.concatenate([self._find(rgb, side) for side in _SIDES]))
        return [self._face(rgb, row) for row in sorted(rows, key=lambda row: -row[2] * row[3])]

    def _find(self, rgb: Rgb, side: int) -> NDArray[np.float32]:
        """Detect faces in a copy with the longest side `side`.

        Return n x 15 values, in pixels of `rgb`.
        """
        height, width = rgb.shape[:2]
        size = within_side(width, height, side)
        copy = resize(rgb, size)
        unit = np.array([width / size[0], height / size[1]], np.float32)
        rows = self._detect(np.ascontiguousarray(copy[..., ::-1], np.uint8))
        rows[:, :14] *= np.tile(unit, 7)
        return rows

    def _detect(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the detector. Return n x 15: x, y, width, height, five landmarks (x, y), score."""
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        return np.zeros((0, 15), np.float32) if rows is None else np.array(rows, np.float32)

    def _face(self, rgb: Rgb, row: NDArray[np.float32]) -> Face:
        x, y, width, height = (float(value) for value in row[:4])
        landmarks = row[4:14].reshape(5, 2).copy()
        yaw, roll = pose(landmarks)
        age, gender, probability = None, None, None
        if self._attributes is not None:
            chip = _upright(rgb, (x + width / 2, y + height / 2), max(width, height), roll)
            age, gender, probability = _age_and_gender(_classify(self._attributes, chip))
        return Face(
            rect=(x, y, width, height),
            landmarks=landmarks,
            score=float(row[14]),
            yaw=yaw,
            roll=roll,
            age=age,
            gender=gender,
            gender_probability=probability,
        )


def _distinct(rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the row with the highest score of each face, at most 64. No face is inside another.

    The same face may be found in both copies, and a part of a large face may be found as a small
    one.
    """
    order = np.lexsort((-rows[:, 2] * rows[:, 3], -rows[:, 14]))
    faces: list[NDArray[np.float32]] = []
    for row in rows[order]:
        if len(faces) < _MAX_FACES and all(_overlap(row, other) <= _SAME for other in faces):
            faces.append(row)
    return faces


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the share (0..1) of the smaller of two boxes that is inside the other."""
    sides = np.minimum(a[:2] + a[2:4], b[:2] + b[2:4]) - np.maximum(a[:2], b[:2])
    smaller = min(float(a[2] * a[3]), float(b[2] * b[3]))
    return float(sides.clip(0).prod()) / max(smaller, 1.0)


def pose(landmarks: NDArray[np.float32]) -> Pose:
    """Return a head's pose from YuNet's landmarks (5 x 2, x and y in pixels).

    The landmarks are the eye on the left of the picture, the eye on the right, the tip of the nose
    and the corners of the mouth. The method is that of `models.backends.dlib.faces.pose`, which
    uses other landmarks.
    """
    left, right, nose = landmarks[:3]
    across = right - left
    roll = math.atan2(float(across[1]), float(across[0]))
    axis = np.array([math.cos(roll), math.sin(roll)], np.float32)
    width = max(float(across @ axis), 1e-3)
    offset = float((nose - (left + right) / 2) @ axis)
    yaw = math.atan2(offset, width * _DEPTH_TO_WIDTH)
    return Pose(math.degrees(yaw), math.degrees(roll))


def _upright(rgb: Rgb, centre: tuple[float, float], side: float, roll: float) -> Rgb:
    """Return a face rotated upright, 224 x 224 x 3, black outside the picture. roll: in degrees."""
    scale = _SIDE / (_FRAME * max(side, 1.0))
    if scale < 0.5 and min(rgb.shape[:2]) > 1:
        # Reduce large faces by area first: warpAffine samples only four pixels.
        half = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)
        return _upright(half, (centre[0] / 2, centre[1] / 2), side / 2, roll)
    turn = np.asarray(cv2.getRotationMatrix2D(centre, roll, scale), np.float64)
    turn[:, 2] += _SIDE / 2 - np.array(centre)
    return cv2.warpAffine(rgb, turn, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR).astype(np.uint8)


def _session(file: Path, threads: int) -> Any:
    check_file(file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        count = _classify(session, np.zeros((_SIDE, _SIDE, 3), np.uint8)).size
    except Exception as error:  # onnxruntime's errors have no other common base class
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error
    if count != _OUTPUTS:
        raise BadWeightsError(f"{file} returns {count} numbers, but FairFace returns {_OUTPUTS}")
    return session


def _classify(session: Any, chip: Rgb) -> NDArray[np.float32]:
    """Return FairFace's 18 scores: race, gender, age.

    The network has one output for all, or three.
    """
    values = (chip.astype(np.float32) / 255 - _MEAN) / _STD
    batch = np.ascontiguousarray(values.transpose(2, 0, 1))[None]
    outputs = session.run(None, {session.get_inputs()[0].name: batch})
    if len(outputs) > 1:
        order = (_RACES, _GENDERS, len(AGE_BINS))
        outputs = sorted(outputs, key=lambda output: order.index(output.size))
    return np.concatenate([output.ravel() for output in outputs]).astype(np.float32)


_Gender = Literal["Female", "Male"]


def _age_and_gender(
    scores: NDArray[np.float32],
) -> tuple[tuple[int, int] | None, _Gender | None, float | None]:
    """Return age range, gender and its probability.

    Each is None if the network is not certain enough.
    """
    genders = _softmax(scores[_RACES : _RACES + _GENDERS])
    ages = _softmax(scores[_RACES + _GENDERS :])
    age = AGE_BINS[int(ages.argmax())] if ages.max() >= _MIN_AGE_PROBABILITY else None
    probability = float(genders.max())
    if probability < _MIN_GENDER_PROBABILITY:
        return age, None, None
    labels: tuple[_Gender, _Gender] = ("Male", "Female")
    return age, labels[int(genders.argmax())], probability


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max())
    shares: NDArray[np.float32] = powers / powers.sum()
    return shares
