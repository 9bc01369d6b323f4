import io
import tracemalloc
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from imaging.picture import Labels, Matte, Picture, Rgb
from models.backends.classical.felzenszwalb import Felzenszwalb
from models.roles import FACE_ANALYSIS, MATTING, SEGMENTATION, Face, Role
from pipelines.objects_mask_generator import masks_zip, objects_mask_generator
from pipelines.objects_remove import objects_remove
from tests.helpers.fake_models import EllipseMatting, FakeModels


class FixedModels:
    """Models that return a fixed matte and a fixed segmentation."""

    def __init__(self, matte: Matte, parts: Labels) -> None:
        self._matte, self._parts = matte, parts

    def matte(self, rgb: Rgb) -> Matte:
        return self._matte

    def segment(self, rgb: Rgb) -> Labels:
        return self._parts


class GivenModels(FakeModels):
    def __init__(self, subject: np.ndarray, parts: np.ndarray) -> None:
        model = FixedModels(subject.astype(np.uint8) * 255, parts.astype(np.uint8))
        super().__init__({MATTING: model, SEGMENTATION: model})


def grey(height: int, width: int, alpha: np.ndarray | None = None) -> Picture:
    return Picture(np.full((height, width, 3), 128, np.uint8), alpha)


def test_the_subject_comes_first_then_the_rest_by_size() -> None:
    labels = objects_mask_generator(grey(200, 300), FakeModels())
    subject = EllipseMatting().matte(grey(200, 300).rgb) > 127
    assert labels.shape == (200, 300)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels == 1, subject)
    areas = np.bincount(labels.ravel())
    assert len(areas) == 5
    assert areas[0] == 0
    assert areas[2] >= areas[3] >= areas[4] > 0
    assert len(np.unique(labels[:80][~subject[:80]])) == 1


def test_without_a_subject_the_largest_part_is_first() -> None:
    parts = np.full((100, 100), 2)
    parts[:30] = 1
    labels = objects_mask_generator(grey(100, 100), GivenModels(np.zeros((100, 100)), parts))
    assert np.array_equal(labels, np.where(parts == 2, 1, 2))


def test_a_rim_around_the_subject_joins_the_surroundings() -> None:
    y, x = np.ogrid[:400, :400]
    distance = np.hypot(y - 200, x - 200)
    parts = np.where(x < 200, 1, 2) + 0 * distance
    parts[distance < 104] = 3  # reaches 4 pixels beyond the subject
    labels = objects_mask_generator(grey(400, 400), GivenModels(distance < 100, parts))
    expected = np.where(distance < 100, 1, np.where(x < 200, 2, 3))
    assert labels.max() == 3
    assert (labels != expected).mean() < 0.001


def test_transparent_pixels_belong_to_no_mask() -> None:
    alpha = np.full((100, 160), 255, np.uint8)
    alpha[:, 80:] = 0
    labels = objects_mask_generator(grey(100, 160, alpha), FakeModels())
    assert (labels[:, 80:] == 0).all()
    assert (labels[:, :80] == 1).all()


def test_a_subject_that_fills_the_picture_is_the_only_mask() -> None:
    models = GivenModels(np.ones((50, 50)), np.ones((50, 50)))
    assert (objects_mask_generator(grey(50, 50), models) == 1).all()


def test_only_the_255_largest_masks_stay() -> None:
    parts = np.repeat(np.repeat(np.arange(256).reshape(16, 16), 40, 0), 40, 1)
    parts[parts == 0] = 1  # 255 parts, and a subject within one of them
    subject = np.zeros(parts.shape)
    subject[600:640, 0:40] = 1
    labels = objects_mask_generator(grey(*parts.shape), GivenModels(subject, parts))
    assert labels.max() == 255
    assert np.array_equal(labels == 1, subject > 0)


def test_masks_of_a_photograph_are_the_same_every_time(photo: Callable[[str], Picture]) -> None:
    models = FakeModels({SEGMENTATION: Felzenszwalb()})
    first = objects_mask_generator(photo("coffee"), models)
    assert first.max() > 5
    assert np.array_equal(first, objects_mask_generator(photo("coffee"), models))


class TwoFaces:
    """Finds two faces side by side."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        return [
            Face((x, 60, 30, 36), np.zeros((5, 2), np.float32), score=1.0, yaw=0.0, roll=0.0)
            for x in (135, 225)
        ]


@pytest.fixture
def couple() -> GivenModels:
    """Return models that find two people who touch, and a dog, in a picture of 300 x 400."""
    subject = np.zeros((300, 400), np.bool_)
    subject[50:200, 105:285] = True
    subject[200:250, 320:390] = True
    models = GivenModels(subject, np.ones((300, 400)))
    models.given[FACE_ANALYSIS] = TwoFaces()
    return models


def test_each_person_and_the_dog_beside_them_is_a_mask(couple: GivenModels) -> None:
    labels = objects_mask_generator(grey(300, 400), couple)
    first, second, dog, ground = (
        labels[y, x] for y, x in ((80, 150), (80, 240), (225, 350), (9, 9))
    )
    assert {first, second} == {1, 2}
    assert (dog, ground) == (3, 5)  # 4 is all of them
    assert labels.max() == 5
    assert abs(int(np.flatnonzero(labels[120, 105:285] == second)[0]) - 90) < 8


def test_the_whole_subject_is_a_mask_too(couple: GivenModels) -> None:
    picture = grey(300, 400)
    picture.rgb[50:200, 105:285] = (200, 30, 30)
    labels = objects_mask_generator(picture, couple)
    files = opened(masks_zip(labels, "a"))
    assert list(files) == ["a_panoptic.png", *(f"a_{number}.png" for number in (1, 2, 3, 4, 5))]
    whole = np.asarray(files["a_4.png"]) == 255
    assert np.array_equal(whole, (labels > 0) & (labels < 4))
    result = objects_remove(picture, couple, labels, [4]).rgb
    assert (result[whole] != (200, 30, 30)).any(axis=-1).all()


def test_one_of_two_people_can_be_removed(couple: GivenModels) -> None:
    picture = grey(300, 400)
    picture.rgb[50:200, 105:285] = (200, 30, 30)
    labels = objects_mask_generator(picture, couple)
    result = objects_remove(picture, couple, labels, [int(labels[80, 150])]).rgb
    assert (result[60:190, 105:180] != (200, 30, 30)).any(axis=-1).all()
    assert (result[60:190, 205:285] == (200, 30, 30)).all()


def test_a_profile_without_faces_divides_by_what_touches(couple: GivenModels) -> None:
    class WithoutFaces(GivenModels):
        def offers(self, role: Role[object]) -> bool:
            return role != FACE_ANALYSIS

        def before(self, role: Role[object]) -> None:
            assert role != FACE_ANALYSIS

    model = couple.given[MATTING]
    labels = objects_mask_generator(
        grey(300, 400), WithoutFaces(model.matte(None) > 0, model.segment(None))
    )
    assert labels[80, 150] == labels[80, 240] == 1
    assert labels[225, 350] == 2


@pytest.fixture
def labels() -> Labels:
    parts = np.zeros((60, 90), np.uint8)
    parts[10:50, 10:40] = 1
    parts[5:20, 50:80] = 2
    parts[40:, 50:] = 3
    return parts


def opened(archive: bytes) -> dict[str, Image.Image]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.testzip() is None
        return {name: Image.open(io.BytesIO(file.read(name))) for name in file.namelist()}


def test_the_zip_contains_a_map_and_a_mask_for_each_id(labels: Labels) -> None:
    files = opened(masks_zip(labels, "92bf8ce17584de82"))
    assert list(files) == [
        "92bf8ce17584de82_panoptic.png",
        "92bf8ce17584de82_1.png",
        "92bf8ce17584de82_2.png",
        "92bf8ce17584de82_3.png",
    ]
    assert all((image.mode, image.size) == ("L", (90, 60)) for image in files.values())
    panoptic = files["92bf8ce17584de82_panoptic.png"]
    assert np.array_equal(np.asarray(panoptic), labels)
    for channel in panoptic.convert("RGB").split():
        assert np.array_equal(np.asarray(channel), labels)
    for mask_id in (1, 2, 3):
        mask = np.asarray(files[f"92bf8ce17584de82_{mask_id}.png"])
        assert np.array_equal(mask, np.where(labels == mask_id, 255, 0))


def test_without_masks_the_zip_contains_only_the_map() -> None:
    assert list(opened(masks_zip(np.zeros((4, 5), np.uint8), "a"))) == ["a_panoptic.png"]


def test_the_same_map_makes_the_same_bytes(labels: Labels) -> None:
    assert masks_zip(labels, "a") == masks_zip(labels.copy(), "a")


def test_masks_larger_than_one_strip_are_complete() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (2100, 2300)).astype(np.uint8)
    files = opened(masks_zip(labels, "a"))
    assert np.array_equal(np.asarray(files["a_panoptic.png"]), labels)
    assert np.array_equal(np.asarray(files["a_2.png"]), np.where(labels == 2, 255, 0))


def test_a_zip_of_many_masks_never_has_all_of_them_in_memory() -> None:
    labels = np.zeros((4000, 4000), np.uint8)
    for mask_id in range(1, 61):
        labels[60 * mask_id : 60 * mask_id + 50] = mask_id
    tracemalloc.start()
    try:
        masks_zip(labels, "a")
        assert tracemalloc.get_traced_memory()[1] < 2 * labels.nbytes
    finally:
        tracemalloc.stop()


def test_the_subject_of_a_cut_out_is_mask_one_although_part_one_is_only_around_it() -> None:
    y, x = np.ogrid[:400, :400]
    distance = np.hypot(y - 200, x - 200)
    alpha = np.where(distance < 100, 255, np.where(distance < 102, 40, 0)).astype(np.uint8)
    parts = np.where(distance < 120, 1, 2)
    labels = objects_mask_generator(grey(400, 400, alpha), GivenModels(distance < 100, parts))
    assert set(np.unique(labels)) <= {0, 1}
    assert np.array_equal(labels == 1, distance < 100)
