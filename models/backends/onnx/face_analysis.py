"""Face analysis on the CPU: a detector, and small networks that tell something about each face."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

from imaging.picture import Rgb
from models.backends.onnx.age_gender import AgeGender, AgeGenderEstimate
from models.backends.onnx.centerface import CenterFace
from models.backends.onnx.detected_face import DetectedFace, FaceDetector, pose
from models.backends.onnx.expression import Expression
from models.backends.onnx.fairface import FairFace
from models.backends.onnx.yunet import YuNet
from models.device import DeviceConfig
from models.roles import Face


class AgeGenderNetworks(Protocol):
    """Estimates age and gender."""

    def estimate(self, rgb: Rgb, face: DetectedFace) -> AgeGenderEstimate:
        """Return the age and gender of a face of `rgb`."""
        ...


class FaceNetworks:
    """Implements the role `models.roles.FaceAnalysis` with networks that are loaded."""

    def __init__(
        self,
        detector: FaceDetector,
        age_gender: AgeGenderNetworks | None = None,
        expression: Expression | None = None,
    ) -> None:
        """Use these networks. Without one, what it would tell stays unknown."""
        self._detector = detector
        self._age_gender = age_gender
        self._expression = expression

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        detector: Literal["centerface", "yunet"] = "centerface",
        fairface: bool = False,
    ) -> Self:
        """Load the models of a card.

        paths: the files of the detector; of age and gender, or of FairFace; and of the expression,
        if the card has it. Instead: the folder of YuNet and FairFace. detector, fairface: which
        networks these are. All run on the CPU, where they take milliseconds.
        """
        first, *others = paths if len(paths) > 1 else sorted(paths[0].glob("*.onnx"))[::-1]
        finder = YuNet(first) if detector == "yunet" else CenterFace(first)
        if fairface:
            return cls(finder, FairFace(others[0], device_config.threads))
        age, gender, *expression = others
        return cls(finder, AgeGender(age, gender), *map(Expression, expression))

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        """Return the faces of `rgb`, largest first, at most 64; see `models.roles.FaceAnalysis`."""
        return [self._face(rgb, found, attributes) for found in self._detector.detect(rgb)]

    def _face(self, rgb: Rgb, found: DetectedFace, attributes: bool) -> Face:
        yaw, roll = pose(found.landmarks)
        told = AgeGenderEstimate()
        if attributes and self._age_gender is not None:
            told = self._age_gender.estimate(rgb, found)
        expression = self._expression if attributes else None
        return Face(
            rect=found.rect,
            landmarks=found.landmarks,
            score=found.score,
            yaw=yaw,
            roll=roll,
            age=told.age,
            gender=told.gender,
            gender_probability=told.probability,
            expression=None if expression is None else expression.estimate(rgb, found),
        )
