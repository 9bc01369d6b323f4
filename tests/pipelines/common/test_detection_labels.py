"""Names of masks from detected objects."""

import numpy as np
import pytest

from imaging.picture import Rgb
from models.roles import OBJECT_DETECTION, DetectedObject
from pipelines.common.detection_labels import labels_by_detection
from tests.helpers.fake_models import FakeModels

RGB = np.zeros((100, 200, 3), np.uint8)
SHAPE = (100, 200)


class Finding:
    """A detection model that finds what the test says."""

    def __init__(self, *found: DetectedObject) -> None:
        self.found = list(found)
        self.calls = 0

    def detect(self, rgb: Rgb) -> list[DetectedObject]:
        self.calls += 1
        return self.found


class Detecting(FakeModels):
    """Fake models that can detect objects."""

    fakes = {**FakeModels.fakes, OBJECT_DETECTION: Finding}


def names(boxes: dict[int, tuple[float, ...]], *found: DetectedObject, rgb: Rgb = RGB) -> object:
    return labels_by_detection(boxes, SHAPE, rgb, Detecting({OBJECT_DETECTION: Finding(*found)}))


CAT = DetectedObject("cat", (10.0, 10.0, 50.0, 50.0))
DOG = DetectedObject("dog", (100.0, 10.0, 180.0, 90.0))


def test_a_mask_has_the_name_of_the_object_in_its_place() -> None:
    boxes = {1: (101, 11, 180, 90), 7: (9, 10, 50, 52), 9: (0, 60, 20, 100)}
    assert names(boxes, CAT, DOG) == {1: ["dog"], 7: ["cat"]}


@pytest.mark.parametrize(
    ("box", "named"),
    [
        ((10, 10, 50, 30), True),  # half of the cat
        ((10, 10, 50, 29), False),
        ((10, 10, 90, 50), True),  # twice the cat
        ((10, 10, 91, 50), False),
        ((50, 10, 90, 50), False),  # beside it
        ((0, 0, 200, 100), False),
    ],
)
def test_half_of_both_boxes_together_must_be_common(box: tuple[float, ...], named: bool) -> None:
    assert names({3: box}, CAT) == ({3: ["cat"]} if named else {})


def test_the_best_of_several_objects_is_the_name() -> None:
    face = DetectedObject("human face", (10.0, 10.0, 50.0, 45.0))
    person = DetectedObject("person", (10.0, 10.0, 50.0, 60.0))
    assert names({1: (10, 10, 50, 58)}, face, person) == {1: ["person"]}


def test_boxes_of_a_picture_of_another_size_are_scaled() -> None:
    half = np.zeros((50, 100, 3), np.uint8)
    small = DetectedObject("cat", (5.0, 5.0, 25.0, 25.0))
    assert names({1: (10, 10, 50, 50)}, small, rgb=half) == {1: ["cat"]}


def test_without_masks_or_without_a_model_nothing_is_detected() -> None:
    finding = Finding(CAT)
    models = Detecting({OBJECT_DETECTION: finding})
    assert labels_by_detection({}, SHAPE, RGB, models) == {}
    assert finding.calls == 0
    assert labels_by_detection({1: (10, 10, 50, 50)}, SHAPE, RGB, FakeModels()) == {}
    assert labels_by_detection({1: (10, 10, 50, 50)}, SHAPE, RGB, models) == {1: ["cat"]}
    assert finding.calls == 1
