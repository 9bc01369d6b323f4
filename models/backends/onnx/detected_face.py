"""A face as a detector finds it, the choice among overlapping ones, and the head's pose."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.face_crops import DLIB, similarity

Float = NDArray[np.float32]

MAX_FACES = 64
"""Largest number of faces of one picture."""
ROW = 15
"""Length of a detector's row: x, y, width and height of the box, five landmarks (x, y), score."""
_NMS = 0.3
"""Intersection over union above which two boxes are the same face (non-maximum suppression)."""
_MAX_BOXES = 400
"""Boxes that are compared one by one after that, the ones with the highest scores."""
_SAME = 0.5
"""Two boxes show the same face if more than this share of the smaller one is inside the other."""

_WITHOUT_NOSE = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
_DEPTH_TO_WIDTH = 0.636
"""Distance of the tip of the nose in front of the eyes, divided by the distance of the eyes'
centres: (7.476 - 3.466) / 6.302 on MediaPipe's canonical face model (canonical_face_model.obj)."""


class DetectedFace(NamedTuple):
    """A face in pixels of its picture.

    rect: x, y, width, height; it may extend beyond the picture. landmarks: 5 x 2, float32: the
    centre of the eye on the left of the picture, of the eye on the right, the tip of the nose, and
    the corners of the mouth, left and right. score: 0..1.
    """

    rect: tuple[float, float, float, float]
    landmarks: Float
    score: float


class FaceDetector(Protocol):
    """Finds faces."""

    def detect(self, rgb: Rgb) -> list[DetectedFace]:
        """Return the faces of `rgb`, largest first, at most MAX_FACES."""
        ...


class Pose(NamedTuple):
    """The rotation of a head in degrees. 0 is an upright head seen from the front."""

    yaw: float
    roll: float


def pose(landmarks: Float) -> Pose:
    """Return a head's pose from the landmarks of a `DetectedFace`.

    Roll is the rotation of the similarity that moves an upright head's eyes and corners of the mouth
    nearest to the landmarks: with the eyes alone, detectors err twice as much at 35 degrees. It is
    positive if the head leans clockwise in the picture. With yaw, the distance between the eyes
    shrinks with its cosine, and the tip of the nose, which is in front of the eyes, moves sideways
    with its sine: their ratio gives the tangent. Yaw is positive if the head looks to the right of
    the picture. Perspective and different noses cause an error of about 5 degrees.
    """
    left, right, nose = landmarks[:3]
    across = right - left
    turn = similarity(landmarks, DLIB.points, _WITHOUT_NOSE)
    roll = math.atan2(-float(turn[1, 0]), float(turn[0, 0]))
    axis = np.array([math.cos(roll), math.sin(roll)], np.float32)
    width = max(float(across @ axis), 1e-3)
    offset = float((nose - (left + right) / 2) @ axis)
    yaw = math.atan2(offset, width * _DEPTH_TO_WIDTH)
    return Pose(math.degrees(yaw), math.degrees(roll))


def distinct(rows: Float) -> Float:
    """Return the row with the highest score of each face, at most MAX_FACES. No face is inside another.

    rows: n x 15 (see ROW). The same face may be found several times, and a part of a large face as
    a small one.
    """
    if not len(rows):
        return rows
    kept = cv2.dnn.NMSBoxes(_boxes(rows), rows[:, 14].tolist(), 0.0, _NMS, top_k=_MAX_BOXES)
    best = rows[np.asarray(kept, np.intp).ravel()]
    faces: list[Float] = []
    for row in best[np.lexsort((-best[:, 2] * best[:, 3], -best[:, 14]))]:
        if len(faces) < MAX_FACES and all(_overlap(row, other) <= _SAME for other in faces):
            faces.append(row)
    return np.stack(faces)


def largest_first(rows: Float) -> list[DetectedFace]:
    """Return rows (n x 15, see ROW) as faces, the largest box first."""
    return [_face(row) for row in sorted(rows, key=lambda row: -row[2] * row[3])]


def _face(row: Float) -> DetectedFace:
    # To a tenth of a pixel: processors round a network's results differently.
    x, y, width, height = (round(float(value), 1) for value in row[:4])
    return DetectedFace((x, y, width, height), row[4:14].reshape(5, 2).copy(), float(row[14]))


def _boxes(rows: Float) -> Sequence[Sequence[float]]:
    boxes: list[list[float]] = rows[:, :4].tolist()
    return boxes


def _overlap(a: Float, b: Float) -> float:
    """Return the share (0..1) of the smaller of two boxes that is inside the other."""
    sides = np.minimum(a[:2] + a[2:4], b[:2] + b[2:4]) - np.maximum(a[:2], b[:2])
    smaller = min(float(a[2] * a[3]), float(b[2] * b[3]))
    return float(sides.clip(0).prod()) / max(smaller, 1e-6)
