"""The expression of a face by a small network, told only where the network is sure.

Jiang and Deng, "Boosting Facial Expression Recognition by A Semi-Supervised Progressive Teacher",
2021: the file of OpenCV's model zoo (facial_expression_recognition_mobilefacenet_2022july.onnx,
Apache-2.0), 88 % accurate on RAF-DB. Not tested with the published file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.age_gender import is_clear
from models.backends.onnx.detected_face import DetectedFace
from models.backends.onnx.face_crops import ARCFACE, aligned_crop
from models.backends.onnx.network import session_options
from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

Float = NDArray[np.float32]

_SIDE = 112
EXPRESSIONS = ("angry", "disgusted", "fear", "happy", "calm", "sad", "surprised")
"""The network's classes in order, in the words of the published API. The publisher calls the second,
third and fifth disgust, fearful and neutral."""
_MIN_PROBABILITY = 0.8
"""Least probability, of the mean of the face and its mirror image: below it, none is told."""


class Expression:
    """The network for the expression."""

    def __init__(self, file: Path) -> None:
        """Load an ONNX file; raises BadWeightsError. Each call takes one thread."""
        self._session = _session(file)
        _check(file, self._session)

    def estimate(self, rgb: Rgb, face: DetectedFace) -> str | None:
        """Return one of EXPRESSIONS for a face of `rgb`; None if the network is not sure."""
        if not is_clear(rgb, face):
            return None
        return likely_expression(_run(self._session, network_input(rgb, face)))


def network_input(rgb: Rgb, face: DetectedFace) -> Float:
    """Return a face and its mirror image, 2 x 3 x 112 x 112: RGB, float32, -1..1.

    The publisher's transform: a similarity moves the five landmarks to the template, then
    (value / 255 - 0.5) / 0.5.
    """
    chip = aligned_crop(rgb, face.landmarks, ARCFACE, _SIDE)
    values = np.stack([chip, chip[:, ::-1]]).astype(np.float32) / 255
    return np.ascontiguousarray(((values - 0.5) / 0.5).transpose(0, 3, 1, 2))


def likely_expression(scores: Float) -> str | None:
    """Return the expression that a face and its mirror image show; None if they are not sure.

    scores: crops x 7, before the softmax or after it: the publisher takes only the highest one.
    """
    means = _probabilities(scores).mean(axis=0)
    best = int(means.argmax())
    return EXPRESSIONS[best] if means[best] >= _MIN_PROBABILITY else None


def _probabilities(scores: Float) -> Float:
    """Return scores as probabilities that add up to 1 in each row."""
    if scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _session(file: Path) -> ort.InferenceSession:
    check_file(file)
    try:
        return ort.InferenceSession(
            str(file), session_options(1), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no other common base class
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error


def _check(file: Path, session: Any) -> None:
    """Raise BadWeightsError if a network does not return one score for each expression."""
    try:
        shape = _run(session, np.zeros((2, 3, _SIDE, _SIDE), np.float32)).shape
    except Exception as error:  # onnxruntime's errors have no other common base class
        raise BadWeightsError(f"{file} takes no faces: {first_line(error)}") from error
    if shape != (2, len(EXPRESSIONS)):
        raise BadWeightsError(f"{file} returns numbers of shape {shape}, not one per expression")


def _run(session: Any, values: Float) -> Float:
    """Return the scores of faces, n x 7. The published file takes one face at a time."""
    name = session.get_inputs()[0].name
    scores = [session.run(None, {name: values[i : i + 1]})[0] for i in range(len(values))]
    return np.concatenate(scores).reshape(len(values), -1).astype(np.float32)
