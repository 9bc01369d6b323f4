"""Filling a hole: what must not be repeated in it, and what happens if nothing else is left."""

from typing import Any

import cv2
import numpy as np
import pytest

from imaging.picture import Labels, Mask, Picture, Rgb
from models.backends.classical.felzenszwalb import Felzenszwalb
from models.backends.classical.patchmatch import PatchMatch
from models.errors import NothingToCopyError
from models.roles import FACE_ANALYSIS, INPAINTING, SEGMENTATION, Face, Role
from pipelines.common.filling import body_mask, fill_hole, find_faces, head_mask
from pipelines.eraser import eraser
from pipelines.objects_remove import objects_remove
from tests.helpers.fake_models import FakeModels

RED = (230, 40, 40)


class RedFaces:
    """A face model that finds one face around everything red."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        red = (rgb[..., 0] > 180) & (rgb[..., 1] < 90)
        if not red.any():
            return []
        box = cv2.boundingRect(red.view(np.uint8))
        return [Face(tuple(map(float, box)), np.zeros((5, 2), np.float32), 1.0, 0.0, 0.0)]


class OnePart:
    """A segmentation model that sees one part, so that no object stands alone."""

    def segment(self, rgb: Rgb) -> Labels:
        return np.ones(rgb.shape[:2], np.uint8)


class Recorder:
    """An inpainting model that copies the reddest pixel and records what it must avoid."""

    copies_texture = True

    def __init__(self) -> None:
        self.avoided: Mask | None = None

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        self.avoided = np.zeros_like(hole) if avoid is None else avoid
        source = ~(hole | self.avoided)
        if not source.any():
            raise NothingToCopyError
        filled = rgb.copy()
        filled[hole] = max(rgb[source].tolist(), key=lambda colour: colour[0] - colour[1])
        return filled


class Without(FakeModels):
    """Models without some roles."""

    def __init__(self, given: dict[Role[Any], Any], missing: tuple[Role[Any], ...]) -> None:
        super().__init__(given)
        self.missing = missing

    def offers(self, role: Role[Any]) -> bool:
        return role not in self.missing and super().offers(role)

    def before(self, role: Role[Any]) -> None:
        assert role not in self.missing


def scene() -> tuple[Rgb, Mask]:
    """Return a grey wall with a red face, and a hole beside it."""
    rgb = np.full((240, 320, 3), (90, 100, 120), np.uint8)
    rgb += np.random.default_rng(3).integers(0, 12, rgb.shape, dtype=np.uint8)
    cv2.circle(rgb, (110, 70), 20, RED, -1)
    hole = np.zeros((240, 320), np.bool_)
    hole[60:120, 170:230] = True
    return rgb, hole


def red(rgb: Rgb) -> Mask:
    found: Mask = (rgb[..., 0] > 180) & (rgb[..., 1] < 90)
    return found


def models(inpainting: Any, segmentation: Any = None) -> FakeModels:
    return FakeModels(
        {
            INPAINTING: inpainting,
            SEGMENTATION: segmentation or OnePart(),
            FACE_ANALYSIS: RedFaces(),
        }
    )


def test_a_face_is_not_copied() -> None:
    rgb, hole = scene()
    filled = fill_hole(rgb, hole, models(Recorder()))
    assert not red(filled)[hole].any()
    np.testing.assert_array_equal(filled[~hole], rgb[~hole])


@pytest.mark.parametrize("route", ["eraser", "objects_remove", "drawn"])
def test_no_route_copies_a_face(route: str) -> None:
    rgb, hole = scene()
    mask, given = hole.astype(np.uint8) * np.uint8(255), models(Recorder())
    if route == "eraser":
        result = eraser(Picture(rgb), mask, given)
    elif route == "drawn":
        result = objects_remove(Picture(rgb), given, drawn=[mask])
    else:
        result = objects_remove(Picture(rgb), given, 1 + hole.astype(np.uint8), [2])
    assert red(result.rgb).sum() == red(rgb).sum()


def test_without_a_face_model_the_hole_is_filled() -> None:
    rgb, hole = scene()
    without = Without({INPAINTING: Recorder()}, (FACE_ANALYSIS, SEGMENTATION))
    assert red(fill_hole(rgb, hole, without))[hole].all()


def test_an_object_that_stands_alone_is_not_copied() -> None:
    rgb, hole = scene()
    with_objects = Without({INPAINTING: Recorder(), SEGMENTATION: Felzenszwalb()}, (FACE_ANALYSIS,))
    assert not red(fill_hole(rgb, hole, with_objects))[hole].any()


def test_the_scenery_around_the_hole_is_copied() -> None:
    rgb, hole = scene()
    rgb[180:] = RED
    with_objects = Without({INPAINTING: Recorder(), SEGMENTATION: Felzenszwalb()}, (FACE_ANALYSIS,))
    assert red(fill_hole(rgb, hole, with_objects))[hole].all()


def test_a_face_is_copied_if_nothing_else_is_left() -> None:
    rgb = np.full((100, 100, 3), RED, np.uint8)
    hole = np.zeros((100, 100), np.bool_)
    hole[40:60, 40:60] = True
    assert red(fill_hole(rgb, hole, models(PatchMatch()))).all()


def test_the_unwanted_is_copied_before_what_is_never_copied() -> None:
    rgb, hole = scene()
    left = np.zeros_like(hole)
    left[:, :160] = True
    recorder = Recorder()
    fill_hole(rgb, hole, models(recorder), never=left, unwanted=~left)
    assert recorder.avoided is not None
    assert recorder.avoided[left].all()
    assert not recorder.avoided[~left].any()
    with pytest.raises(NothingToCopyError):
        fill_hole(rgb, hole, models(Recorder()), never=~hole)


def test_what_is_far_from_a_small_hole_is_not_copied() -> None:
    rgb = np.full((1200, 1200, 3), 90, np.uint8)
    rgb[1000:1100, 1000:1100] = RED
    hole = np.zeros((1200, 1200), np.bool_)
    hole[100:140, 100:140] = True
    bare = Without({INPAINTING: Recorder()}, (FACE_ANALYSIS, SEGMENTATION))
    assert not red(fill_hole(rgb, hole, bare))[hole].any()


@pytest.mark.parametrize("kind", ["thin", "continues"])
def test_nothing_is_analysed_where_nothing_can_be_repeated(kind: str) -> None:
    rgb, hole = scene()
    inpainting = Recorder()
    if kind == "thin":
        hole[:] = False
        hole[20:200, 200:205] = True
    else:
        inpainting.copies_texture = False
    fill_hole(rgb, hole, Without({INPAINTING: inpainting}, (FACE_ANALYSIS, SEGMENTATION)))
    unused = FakeModels({INPAINTING: inpainting})
    fill_hole(rgb, hole, unused)
    assert unused.use_count == 0


def test_faces_have_the_size_of_the_picture() -> None:
    rgb = np.full((1200, 1600, 3), 90, np.uint8)
    rgb[300:500, 800:960] = RED
    ((x, y, width, height),) = find_faces(rgb, models(Recorder()))
    assert np.abs(np.array([x - 800, y - 300, width - 160, height - 200])).max() < 5


def test_a_head_is_larger_than_its_face_and_a_body_hangs_below_it() -> None:
    faces, nothing = [(100.0, 50.0, 40.0, 50.0)], np.zeros((400, 300), np.bool_)
    head, body = head_mask(faces, (400, 300)), body_mask(faces, nothing)
    assert head[40, 120] and head[75, 95] and not head[75, 60]  # noqa: PT018 - one shape
    assert body[200, 120] and body[150, 70] and not body[20].any()  # noqa: PT018
    erased = nothing.copy()
    erased[50:100, 100:140] = True
    assert not body_mask(faces, erased).any()
