"""The face analysis model of profile `open`: YuNet finds faces, FairFace tells age and gender.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023, the file of OpenCV's model zoo
(face_detection_yunet_2023mar.onnx, MIT), run by OpenCV's own class; Karkkainen and Joo, "FairFace: Face
Attribute Dataset for Balanced Race, Gender, and Age", WACV 2021, as an ONNX file. FairFace also
guesses race: that is thrown away unread. Expression and glasses are not told. Not run on full weights.
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
"""Longest sides of the copies that faces are looked for in. YuNet sees faces of 10 to 300 px: in the
larger copy those of a crowd, in the smaller one a face that fills the picture."""
_MULTIPLE = 32
_MIN_SCORE = 0.7
_SAME = 0.5
"""Boxes are of one face when more of the smaller one lies in the other."""
_NMS = 0.3
_MAX_FACES = 64

_SIDE = 224
_FRAME = 1.5
"""Side of the attributes' crop over the face's longer side: dlib's padding of 0.25, as in training."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
AGE_BINS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 100))
"""FairFace's classes, in years; the last is "more than 70"."""
_RACES, _GENDERS = 7, 2
_OUTPUTS = _RACES + _GENDERS + len(AGE_BINS)
_MIN_AGE_PROBABILITY = 0.5
_MIN_GENDER_PROBABILITY = 0.8

_DEPTH_TO_WIDTH = 0.636
"""How far the tip of the nose stands before the eyes, over the distance of the eyes' middles: (7.476 -
3.466) / 6.302 on MediaPipe's canonical face model (canonical_face_model.obj)."""


class YuNetFaces:
    """Fulfils the role `models.roles.FaceAnalysis`, one call at a time: the detector keeps its input's size."""

    def __init__(
        self, detector: Path, attributes: Path | None, device_config: DeviceConfig
    ) -> None:
        """Load ONNX files; raises BadWeightsError. attributes: None tells no age and no gender.

        Both run on the processor whatever the device configuration: they take milliseconds there.
        """
        check_file(detector)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(detector), "", (_MULTIPLE, _MULTIPLE), _MIN_SCORE, _NMS, 5000
            )
            self._detect(np.zeros((_MULTIPLE, _MULTIPLE, 3), np.uint8))
        except cv2.error as error:
            raise BadWeightsError(
                f"{detector} is no YuNet detector: {first_line(error)}"
            ) from error
        self._attributes = (
            None if attributes is None else _session(attributes, device_config.threads)
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: YuNet's and FairFace's files, or the folder that holds both."""
        detector, attributes = paths if len(paths) == 2 else sorted(paths[0].glob("*.onnx"))[::-1]
        return cls(detector, attributes, device_config)

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Return the faces of `rgb`, largest first, 64 at most."""
        found = _distinct(np.concatenate([self._find(rgb, side) for side in _SIDES]))
        return [self._face(rgb, row) for row in sorted(found, key=lambda row: -row[2] * row[3])]

    def _find(self, rgb: Rgb, side: int) -> NDArray[np.float32]:
        """Return OpenCV's rows of faces, n x 15, in pixels of `rgb`, found in a copy of that side."""
        height, width = rgb.shape[:2]
        size = within_side(width, height, side)
        copy = resize(rgb, size)
        unit = np.array([width / size[0], height / size[1]], np.float32)
        rows = self._detect(np.ascontiguousarray(copy[..., ::-1], np.uint8))
        rows[:, :14] *= np.tile(unit, 7)
        return rows

    def _detect(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the detector: x, y, width, height, five landmarks, score; n x 15."""
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        return np.zeros((0, 15), np.float32) if rows is None else np.array(rows, np.float32)

    def _face(self, rgb: Rgb, row: NDArray[np.float32]) -> Face:
        x, y, width, height = (float(value) for value in row[:4])
        landmarks = row[4:14].reshape(5, 2).copy()
        yaw, roll = pose(landmarks)
        age, gender, sure = None, None, None
        if self._attributes is not None:
            chip = _upright(rgb, (x + width / 2, y + height / 2), max(width, height), roll)
            age, gender, sure = _told(_classify(self._attributes, chip))
        return Face(
            rect=(x, y, width, height),
            landmarks=landmarks,
            score=float(row[14]),
            yaw=yaw,
            roll=roll,
            age=age,
            gender=gender,
            gender_probability=sure,
        )


def _distinct(rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the surest row of each face, 64 at most: no face lies in another.

    One face is found in both copies, and a part of a large one may be taken for a small one.
    """
    order = np.lexsort((-rows[:, 2] * rows[:, 3], -rows[:, 14]))
    kept: list[NDArray[np.float32]] = []
    for row in rows[order]:
        if len(kept) < _MAX_FACES and all(_overlap(row, other) <= _SAME for other in kept):
            kept.append(row)
    return kept


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the share of the smaller of two boxes that lies in the other."""
    sides = np.minimum(a[:2] + a[2:4], b[:2] + b[2:4]) - np.maximum(a[:2], b[:2])
    smaller = min(float(a[2] * a[3]), float(b[2] * b[3]))
    return float(sides.clip(0).prod()) / max(smaller, 1.0)


def pose(landmarks: NDArray[np.float32]) -> Pose:
    """Measure a head's pose from YuNet's landmarks (5 x 2): the eye on the left of the picture, the
    eye on the right, the tip of the nose, the corners of the mouth.

    As `models.backends.dlib.faces.pose`, which has the eyes' corners and the base of the nose instead.
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
    """Return a face turned upright, 224 x 224, black where the picture ends."""
    scale = _SIDE / (_FRAME * max(side, 1.0))
    if scale < 0.5 and min(rgb.shape[:2]) > 1:
        # By area first where much is reduced: warpAffine samples four pixels only.
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
        found = _classify(session, np.zeros((_SIDE, _SIDE, 3), np.uint8)).size
    except Exception as error:  # onnxruntime's errors share no class but this
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error
    if found != _OUTPUTS:
        raise BadWeightsError(f"{file} gives {found} numbers, FairFace {_OUTPUTS}")
    return session


def _classify(session: Any, chip: Rgb) -> NDArray[np.float32]:
    """Return FairFace's 18 scores: race, gender, age; in one output of the file or in three."""
    values = (chip.astype(np.float32) / 255 - _MEAN) / _STD
    batch = np.ascontiguousarray(values.transpose(2, 0, 1))[None]
    outputs = session.run(None, {session.get_inputs()[0].name: batch})
    if len(outputs) > 1:
        order = (_RACES, _GENDERS, len(AGE_BINS))
        outputs = sorted(outputs, key=lambda output: order.index(output.size))
    return np.concatenate([output.ravel() for output in outputs]).astype(np.float32)


_Gender = Literal["Female", "Male"]


def _told(
    scores: NDArray[np.float32],
) -> tuple[tuple[int, int] | None, _Gender | None, float | None]:
    """Return age range, gender and its probability, each None when the network is not sure enough."""
    genders = _softmax(scores[_RACES : _RACES + _GENDERS])
    ages = _softmax(scores[_RACES + _GENDERS :])
    age = AGE_BINS[int(ages.argmax())] if ages.max() >= _MIN_AGE_PROBABILITY else None
    sure = float(genders.max())
    if sure < _MIN_GENDER_PROBABILITY:
        return age, None, None
    labels: tuple[_Gender, _Gender] = ("Male", "Female")
    return age, labels[int(genders.argmax())], sure


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max())
    shares: NDArray[np.float32] = powers / powers.sum()
    return shares
