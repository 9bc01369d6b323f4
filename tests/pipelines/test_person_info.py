"""The people of a picture as person/info returns them."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.roles import FACE_ANALYSIS, Face, Models
from models.runtime.pool import Pool
from pipelines.person_info import labels_for, people, person_id
from tests.helpers.fake_models import FakeModels, GenerativeModels


class FixedFaces:
    """A face analysis that returns fixed faces."""

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        return self.faces


FACE = Face(
    rect=(10.4, 20.2, 60.0, 61.0),
    landmarks=np.zeros((5, 2), np.float32),
    score=1,
    yaw=0,
    roll=0,
    age=(26, 42),
    gender="Female",
    gender_probability=0.95,
)
PLAIN = np.full((200, 200, 3), 128, np.uint8)


def given(*faces: Face) -> Models:
    """Return models that find these faces and can change people."""
    return GenerativeModels({FACE_ANALYSIS: FixedFaces(*faces)})


def test_a_person_has_the_published_keys() -> None:
    (person,) = people(PLAIN, given(FACE), "f49943971e3039c7")
    received = json.loads(json.dumps(person.as_json()))
    assert set(received) == {"actions", "id", "labels", "oracle", "rect", "type"}
    assert received["type"] == "person"
    assert received["rect"] == {"h": 61.0, "w": 60.0, "x": 10.4, "y": 20.2}
    assert received["labels"] == ["age_26-42", "Female"]
    assert received["actions"]["age"] == ["mid-20", "mid-40", "mid-60"]


def test_a_profile_that_cannot_change_people_offers_nothing() -> None:
    (person,) = people(PLAIN, FakeModels({FACE_ANALYSIS: FixedFaces(FACE)}), "a")
    assert person.actions == {}
    assert person.oracle == {}
    assert person.labels == ["age_26-42", "Female"]


def test_unknown_age_and_gender_have_no_label() -> None:
    assert labels_for(replace(FACE, age=None)) == ["Female"]
    assert labels_for(replace(FACE, gender=None)) == ["age_26-42"]
    assert labels_for(replace(FACE, age=None, gender=None)) == []


def test_an_expression_is_between_age_and_gender_as_in_the_published_sample() -> None:
    assert labels_for(replace(FACE, expression="happy")) == ["age_26-42", "happy", "Female"]


def test_an_id_is_64_hex_digits_of_the_visual_and_the_position() -> None:
    one = person_id("f49943971e3039c7", FACE)
    assert len(one) == 64
    assert int(one, 16) >= 0
    assert person_id("f49943971e3039c7", replace(FACE, age=None, score=2)) == one
    assert person_id("0000000000000000", FACE) != one
    assert person_id("f49943971e3039c7", replace(FACE, rect=(90, 20, 60, 61))) != one


def test_people_are_in_the_order_of_their_faces() -> None:
    other = replace(FACE, rect=(100, 100, 30, 30))
    found = people(PLAIN, given(FACE, other), "a")
    assert [person.rect for person in found] == [FACE.rect, other.rect]


def test_a_picture_without_faces_has_no_people() -> None:
    assert people(PLAIN, given(), "a") == []


def test_a_photograph_gives_the_same_person_every_time(
    lite: Pool, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb
    first, second = people(rgb, lite, "a"), people(rgb.copy(), lite, "a")
    assert [person.as_json() for person in first] == [person.as_json() for person in second]
    assert first[0].labels == ["age_26-42", "Female"]


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_a_cup_and_a_cat_are_not_people(
    lite: Pool, photo: Callable[[str], Picture], name: str
) -> None:
    assert people(photo(name).rgb, lite, "a") == []
