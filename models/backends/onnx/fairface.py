"""Age and gender of a face by FairFace, for the profiles for a GPU.

Karkkainen and Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age", WACV 2021:
an ONNX file. FairFace also estimates race: that output is ignored. Not tested with the published file.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.age_gender import AgeGenderEstimate, Gender
from models.backends.onnx.detected_face import DetectedFace, pose
from models.backends.onnx.network import session_options
from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

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


class FairFace:
    """The network for age and gender."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        """Load an ONNX file; raises BadWeightsError. threads: CPU threads of one call."""
        self._session = _session(file, threads)

    def estimate(self, rgb: Rgb, face: DetectedFace) -> AgeGenderEstimate:
        """Return the age and gender of a face of `rgb`, each None if the network is not certain."""
        x, y, width, height = face.rect
        centre = (x + width / 2, y + height / 2)
        chip = _upright(rgb, centre, max(width, height), pose(face.landmarks).roll)
        return _age_and_gender(_classify(self._session, chip))


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
    try:
        session = ort.InferenceSession(
            str(file), session_options(threads), providers=["CPUExecutionProvider"]
        )
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


def _age_and_gender(scores: NDArray[np.float32]) -> AgeGenderEstimate:
    """Return age range, gender and its probability.

    Each is None if the network is not certain enough.
    """
    genders = _softmax(scores[_RACES : _RACES + _GENDERS])
    ages = _softmax(scores[_RACES + _GENDERS :])
    age = AGE_BINS[int(ages.argmax())] if ages.max() >= _MIN_AGE_PROBABILITY else None
    probability = float(genders.max())
    if probability < _MIN_GENDER_PROBABILITY:
        return AgeGenderEstimate(age)
    labels: tuple[Gender, Gender] = ("Male", "Female")
    return AgeGenderEstimate(age, labels[int(genders.argmax())], probability)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(scores - scores.max())
    shares: NDArray[np.float32] = powers / powers.sum()
    return shares
