"""The parts of a subject, on figures whose parts are known: a head, a chest, legs."""

import tracemalloc

import cv2
import numpy as np
import pytest

from imaging.picture import Labels, Mask, Rgb
from models.roles import FACE_ANALYSIS, Face
from pipelines.common.subject_parts import faces_of, subject_parts, with_faces
from tests.helpers.fake_models import FakeModels

GROUND = (90, 120, 90)


class Scene:
    """A picture with figures; each is added to the truth with its own number, 0 being the ground."""

    def __init__(self, height: int = 300, width: int = 400, scale: int = 1) -> None:
        self.scale = scale
        self.rgb: Rgb = np.full((height * scale, width * scale, 3), GROUND, np.uint8)
        self.truth: Labels = np.zeros(self.rgb.shape[:2], np.uint8)
        self.faces: list[Face] = []

    def box(
        self, number: int, left: int, top: int, right: int, bottom: int, colour: tuple[int, ...]
    ) -> None:
        where = np.s_[
            top * self.scale : bottom * self.scale, left * self.scale : right * self.scale
        ]
        self.rgb[where], self.truth[where] = colour, number

    def person(self, number: int, x: int, y: int, colour: tuple[int, ...], width: int = 30) -> None:
        """Add a person whose face, a third as wide as the shoulders, has its centre at x, y."""
        self.box(number, x - 3 * width // 2, y + width, x + 3 * width // 2, y + 5 * width, colour)
        centre = x * self.scale, y * self.scale
        axes = int(0.6 * width * self.scale), int(0.8 * width * self.scale)
        for plane, value in ((self.rgb, (220, 180, 160)), (self.truth, number)):
            cv2.ellipse(plane, centre, axes, 0, 0, 360, value, -1)
        self.box(number, x - 8, y + 15, x + 8, y + width + 2, (220, 180, 160))
        self.faces.append(face(centre[0], centre[1], width * self.scale))

    @property
    def subject(self) -> Mask:
        return self.truth > 0

    def parts(self) -> Labels:
        return subject_parts(self.rgb, self.subject, self.faces)


def face(x: float, y: float, width: float) -> Face:
    height = 1.2 * width
    rect = (x - width / 2, y - height / 2, width, height)
    return Face(rect, np.zeros((5, 2), np.float32), score=1.0, yaw=0.0, roll=0.0)


def agreement(parts: Labels, truth: Labels, number: int) -> float:
    """Return the intersection over union of a true part with the found part that covers it most."""
    true = truth == number
    found = parts == np.bincount(parts[true]).argmax()
    return float((found & true).sum() / (found | true).sum())


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("colours", [((30, 30, 120), (160, 40, 30)), ((30, 30, 40), (30, 30, 40))])
def test_two_people_who_touch_are_two_parts(
    colours: tuple[tuple[int, ...], tuple[int, ...]], scale: int
) -> None:
    scene = Scene(scale=scale)
    for number, x, colour in ((1, 150, colours[0]), (2, 240, colours[1])):
        scene.person(number, x, 60, colour)
    parts = scene.parts()
    assert parts.max() == 2
    assert np.array_equal(parts > 0, scene.subject)
    assert min(agreement(parts, scene.truth, number) for number in (1, 2)) > 0.97
    assert with_faces(parts, scene.faces) == {1, 2}


def test_the_edge_between_two_people_is_where_their_colours_differ() -> None:
    scene = Scene()
    scene.person(1, 150, 60, (30, 30, 120))
    scene.person(2, 240, 60, (160, 40, 30))
    scene.box(1, 195, 120, 225, 170, (30, 30, 120))  # the first one's arm before the second's chest
    parts = scene.parts()
    assert parts[145, 215] == parts[60, 150] != parts[60, 240]


def test_six_people_in_a_row_are_six_parts() -> None:
    scene = Scene(width=600)
    for number in range(1, 7):
        scene.person(number, 90 * number - 30, 60, (20, 20, 20 + number))
    parts = scene.parts()
    assert parts.max() == 6
    assert all(agreement(parts, scene.truth, number) > 0.95 for number in range(1, 7))


def test_an_animal_beside_a_man_is_a_part_without_a_face() -> None:
    scene = Scene()
    scene.person(1, 100, 60, (30, 30, 120))
    scene.box(2, 220, 150, 320, 210, (120, 80, 40))
    parts = scene.parts()
    assert np.array_equal(parts, scene.truth)
    assert with_faces(parts, scene.faces) == {1}


def test_a_bus_behind_pedestrians_is_no_part_of_them() -> None:
    scene = Scene(400, 800)
    scene.box(3, 50, 100, 750, 330, (30, 80, 200))
    scene.person(1, 200, 250, (200, 200, 180), 14)
    scene.person(2, 300, 250, (20, 20, 20), 14)
    parts = scene.parts()
    assert parts.max() == 3
    assert all(agreement(parts, scene.truth, number) > 0.7 for number in (1, 2))
    assert agreement(parts, scene.truth, 3) > 0.95
    assert with_faces(parts, scene.faces) == {2, 3}


def test_outstretched_arms_stay_with_their_person() -> None:
    scene = Scene()
    scene.person(1, 200, 100, (30, 30, 120), 20)
    scene.box(1, 90, 125, 310, 137, (30, 30, 120))
    assert scene.parts().max() == 1


def test_legs_below_a_gap_belong_to_the_person_above() -> None:
    scene = Scene()
    scene.person(1, 100, 60, (30, 30, 120))
    scene.person(2, 300, 60, (160, 40, 30))
    scene.box(2, 285, 230, 315, 290, (40, 40, 60))
    parts = scene.parts()
    assert parts.max() == 2
    assert parts[260, 300] == parts[150, 300]


def test_a_speck_far_away_belongs_to_no_part_and_one_nearby_to_its_part() -> None:
    scene = Scene()
    scene.person(1, 100, 60, (30, 30, 120))
    scene.box(1, 148, 150, 152, 154, (30, 30, 120))
    scene.box(2, 380, 10, 385, 15, (250, 250, 250))
    scene.box(3, 220, 150, 320, 210, (120, 80, 40))
    parts = scene.parts()
    assert parts[12, 382] == 0
    assert parts[152, 150] == parts[100, 100] > 0
    assert parts.max() == 2


def test_faces_outside_of_the_subject_change_nothing() -> None:
    scene = Scene()
    scene.person(1, 100, 60, (30, 30, 120))
    scene.faces += [face(350, 40, 30), face(-50, -50, 20), face(1000, 1000, 0.1)]
    assert np.array_equal(scene.parts(), scene.truth)


def test_without_faces_pieces_that_do_not_touch_are_parts_the_largest_first() -> None:
    scene = Scene()
    scene.box(2, 10, 10, 60, 60, (200, 0, 0))
    scene.box(1, 100, 100, 200, 200, (0, 0, 200))
    scene.box(3, 300, 10, 330, 40, (0, 200, 0))
    assert np.array_equal(scene.parts(), scene.truth)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 4000)])
@pytest.mark.parametrize("covered", [False, True])
def test_any_shape_has_parts(shape: tuple[int, int], covered: bool) -> None:
    subject = np.full(shape, covered, np.bool_)
    rgb = np.zeros((*shape, 3), np.uint8)
    parts = subject_parts(rgb, subject, [face(0, 0, 1), face(2, 0, 2000)])
    assert np.array_equal(parts > 0, subject)


def test_a_profile_without_face_analysis_has_no_faces() -> None:
    class WithoutFaces(FakeModels):
        def offers(self, role: object) -> bool:
            return role != FACE_ANALYSIS

    assert faces_of(np.zeros((9, 9, 3), np.uint8), WithoutFaces()) == []


def test_a_face_is_in_the_part_that_most_of_it_covers() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[:, 40:] = 7
    assert with_faces(labels, [face(60, 50, 20)]) == {7}
    assert with_faces(labels, [face(20, 50, 20)]) == frozenset()
    assert with_faces(labels, [face(500, 500, 20), face(-80, 50, 20)]) == frozenset()


def test_confetti_takes_little_memory() -> None:
    """A cut-out of 37,000 dots of nine pixels took 5 GB: a mask of the picture for each dot."""
    dots = np.zeros((1152, 1152), np.bool_)
    for row, column in np.ndindex(3, 3):
        dots[row::6, column::6] = True
    tracemalloc.start()
    parts = subject_parts(np.zeros((*dots.shape, 3), np.uint8), dots, [])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    assert not parts[~dots].any()
