"""Face analysis: what is told of a face besides its box, and only if it is asked for."""

import numpy as np

from imaging.picture import Rgb
from models.backends.onnx.age_gender import AgeGenderEstimate
from models.backends.onnx.detected_face import DetectedFace
from models.backends.onnx.face_analysis import FaceNetworks

LANDMARKS = np.array([[203, 103], [247, 102], [224, 123], [205, 144], [243, 143]], np.float32)
FACE = DetectedFace((179, 62, 90, 114), LANDMARKS, 0.9)
GREY = np.full((200, 300, 3), 128, np.uint8)


class Detector:
    def detect(self, rgb: Rgb) -> list[DetectedFace]:
        return [FACE]


class Estimator:
    calls = 0

    def estimate(self, rgb: Rgb, face: DetectedFace) -> AgeGenderEstimate:
        self.calls += 1
        return AgeGenderEstimate((26, 42), "Female", 0.99)


def test_attributes_are_estimated_only_if_asked_for() -> None:
    estimator = Estimator()
    networks = FaceNetworks(Detector(), estimator)
    (full,) = networks.analyse(GREY)
    assert (full.age, full.gender) == ((26, 42), "Female")
    (plain,) = networks.analyse(GREY, attributes=False)
    assert (plain.age, plain.gender, plain.expression) == (None, None, None)
    assert (plain.rect, plain.yaw, plain.roll) == (full.rect, full.yaw, full.roll)
    assert estimator.calls == 1
