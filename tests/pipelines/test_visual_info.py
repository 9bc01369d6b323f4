"""The entries of a visual's objects and background."""

import json
from collections.abc import Callable
from typing import Any, cast

import cv2
import numpy as np

from imaging.picture import Matte, Picture, Rgb
from models.roles import (
    FACE_ANALYSIS,
    INPAINTING,
    MATTING,
    OBJECT_DETECTION,
    DetectedObject,
    Face,
)
from pipelines.visual_info import background, info, objects
from tests.helpers.fake_models import FakeModels

KEYS = {"actions", "id", "labels", "oracle", "rect", "type"}


class LeftMatting:
    """A matting model whose subject is the left third."""

    def matte(self, rgb: Rgb) -> Matte:
        matte = np.zeros(rgb.shape[:2], np.uint8)
        matte[:, : rgb.shape[1] // 3] = 255
        return matte


class OneFace:
    """A face analysis that finds one face."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        return [Face((10, 10, 50, 60), np.zeros((5, 2), np.float32), 1, 0, 0)]


def as_received(entry: dict[str, object]) -> dict[str, Any]:
    """Return an entry as a caller reads it."""
    return cast(dict[str, Any], json.loads(json.dumps(entry)))


def plain(labels_map: np.ndarray) -> Rgb:
    return np.zeros((*labels_map.shape, 3), np.uint8)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Rgb:
    rgb = np.empty((60, 120, 3), np.uint8)
    rgb[:, :60] = left
    rgb[:, 60:] = right
    return rgb


def test_info_lists_people_then_objects_then_the_background(
    photo: Callable[[str], Picture],
) -> None:
    picture = photo("astronaut")
    labels_map = np.zeros((picture.height, picture.width), np.uint8)
    labels_map[10:20, 30:50] = 1
    entries = info(
        picture, FakeModels({MATTING: LeftMatting(), FACE_ANALYSIS: OneFace()}), "a", labels_map
    )
    assert [entry["type"] for entry in entries] == ["person", "object", "background"]
    assert all(set(entry) == KEYS for entry in entries)


def test_each_mask_is_an_object_in_its_bounding_box() -> None:
    labels_map = np.zeros((100, 200), np.uint8)
    labels_map[10:20, 30:50] = 1
    labels_map[60:90, 0:5] = 7
    labels_map[95, 199] = 255
    labels_map[99, 198] = 255
    first, second, third = map(as_received, objects(plain(labels_map), labels_map, FakeModels()))
    assert [first["id"], second["id"], third["id"]] == ["1", "7", "255"]
    assert first["rect"] == {"h": 10.0, "w": 20.0, "x": 30.0, "y": 10.0}
    assert second["rect"] == {"h": 30.0, "w": 5.0, "x": 0.0, "y": 60.0}
    assert third["rect"] == {"h": 5.0, "w": 2.0, "x": 198.0, "y": 95.0}
    assert first["actions"] == {"remove": [True]}
    assert first["labels"] == ["black"]


def test_a_mask_with_a_face_is_a_person_and_colours_are_named() -> None:
    class OneFace:
        def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
            box = (20.0, 10.0, 20.0, 25.0)
            return [Face(box, np.zeros((5, 2), np.float32), score=1.0, yaw=0.0, roll=0.0)]

    labels_map = np.zeros((100, 120), np.uint8)
    labels_map[:, :60], labels_map[50:, 60:] = 1, 2
    rgb = np.zeros((100, 120, 3), np.uint8)
    rgb[labels_map == 1], rgb[labels_map == 2] = (255, 0, 0), (0, 0, 128)
    models = FakeModels({FACE_ANALYSIS: OneFace()})
    first, second = map(as_received, objects(rgb, labels_map, models))
    assert first["labels"] == ["person", "red"]
    assert second["labels"] == ["navy"]
    assert first["type"] == second["type"] == "object"


def test_an_object_is_named_by_what_is_detected_in_its_box() -> None:
    class Detection:
        def detect(self, rgb: Rgb) -> list[DetectedObject]:
            return [DetectedObject("cat", (30.0, 10.0, 52.0, 20.0))]

    class Detecting(FakeModels):
        fakes = {**FakeModels.fakes, OBJECT_DETECTION: Detection}

    labels_map = np.zeros((100, 200), np.uint8)
    labels_map[10:20, 30:50] = 1
    labels_map[60:90, 0:5] = 7
    entries = map(as_received, objects(plain(labels_map), labels_map, Detecting()))
    assert [entry["labels"] for entry in entries] == [["cat", "black"], ["black"]]


def test_the_mask_of_several_parts_is_an_object_too() -> None:
    labels_map = np.zeros((100, 200), np.uint8)
    labels_map[10:20, 30:50], labels_map[60:90, 5:10], labels_map[95:, :] = 1, 2, 4
    entries = list(map(as_received, objects(plain(labels_map), labels_map, FakeModels())))
    assert [entry["id"] for entry in entries] == ["1", "2", "3", "4"]
    assert entries[2]["rect"] == {"h": 80.0, "w": 45.0, "x": 5.0, "y": 10.0}


def test_a_map_without_masks_has_no_objects() -> None:
    for labels_map, count in ((np.zeros((5, 5), np.uint8), 0), (np.ones((1, 1), np.uint8), 1)):
        assert len(objects(plain(labels_map), labels_map, FakeModels())) == count


def test_removing_a_large_object_has_a_lower_rating() -> None:
    labels_map = np.zeros((100, 100), np.uint8)
    labels_map[:50] = 1
    labels_map[60:65, 60:65] = 2
    large, small = map(as_received, objects(plain(labels_map), labels_map, FakeModels()))
    assert large["oracle"] == {"remove": {"remove": "low"}}
    assert small["oracle"] == {"remove": {"remove": "high"}}


def test_a_profile_that_cannot_fill_holes_offers_no_removal() -> None:
    class WithoutFill(FakeModels):
        fakes = {role: fake for role, fake in FakeModels.fakes.items() if role != INPAINTING}

    labels_map = np.ones((9, 9), np.uint8)
    (entry,) = map(as_received, objects(plain(labels_map), labels_map, WithoutFill()))
    assert entry["actions"] == entry["oracle"] == {}


def test_a_background_of_one_colour_is_plain_and_named() -> None:
    rgb = halves((250, 10, 10), (0, 0, 128))
    alpha = np.zeros((60, 120), np.uint8)
    alpha[:, :60] = 255
    (entry,) = map(as_received, background(rgb, alpha))
    assert entry["labels"] == ["plain", "#000080", "navy"]
    assert entry["rect"] == {"h": 60.0, "w": 60.0, "x": 60.0, "y": 0.0}
    assert set(entry) == KEYS


def test_a_background_of_two_colours_is_textured_and_lists_the_more_common_first() -> None:
    rgb = halves((255, 255, 255), (255, 255, 255))
    rgb[:, 80:] = (255, 0, 0)
    (entry,) = map(as_received, background(rgb, np.zeros((60, 120), np.uint8)))
    assert entry["labels"][0] == "textured"
    assert entry["labels"][2:] == ["white", "red"]


def test_the_subject_does_not_affect_the_background_colours_of_a_large_picture() -> None:
    rgb = np.full((1200, 1200, 3), (0, 128, 0), np.uint8)
    alpha = np.zeros((1200, 1200), np.uint8)
    rgb[::3] = (255, 0, 255)
    alpha[::3] = 255
    (entry,) = map(as_received, background(rgb, alpha))
    assert entry["labels"][0] == "plain"
    assert entry["labels"][2:] == ["green"]
    red, green, blue = (int(entry["labels"][1][i : i + 2], 16) for i in (1, 3, 5))
    assert max(red, abs(green - 128), blue) <= 2


def test_one_pixel_of_background_in_a_large_picture_is_reported() -> None:
    rgb = np.full((1500, 1500, 3), 255, np.uint8)
    rgb[700, 800] = 0
    alpha = np.full((1500, 1500), 255, np.uint8)
    alpha[700, 800] = 0
    (entry,) = map(as_received, background(rgb, alpha))
    assert entry["rect"] == {"h": 1.0, "w": 1.0, "x": 800.0, "y": 700.0}
    assert entry["labels"] == ["plain", "#000000", "black"]


def test_a_subject_over_the_whole_picture_leaves_no_background() -> None:
    assert background(halves((1, 2, 3), (4, 5, 6)), np.full((60, 120), 255, np.uint8)) == []


def test_an_uncertain_matte_lowers_the_ratings() -> None:
    rgb = halves((200, 10, 10), (10, 10, 200))
    alpha = np.zeros((60, 120), np.uint8)
    alpha[:, :40] = 255
    assert as_received(background(rgb, alpha)[0])["oracle"]["blur"] == {"blur": "high"}
    soft = cv2.blur(alpha, (81, 1)).astype(np.uint8)
    assert as_received(background(rgb, soft)[0])["oracle"]["blur"] == {"blur": "low"}
