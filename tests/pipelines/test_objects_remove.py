import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.errors import MaskRatioError
from imaging.picture import Labels, Mask, Picture, Rgb
from models.roles import INPAINTING
from pipelines.errors import NoSuchMaskError
from pipelines.objects_remove import objects_remove
from tests.helpers.fake_models import FakeModels, MeanInpainting


@pytest.fixture
def labels() -> Labels:
    parts = np.full((100, 150), 1, np.uint8)
    parts[20:40, 20:50] = 2
    parts[60:80, 90:120] = 3
    return parts


@pytest.fixture
def picture(labels: Labels) -> Picture:
    colours = np.array([[0, 0, 0], [200, 200, 200], [255, 0, 0], [0, 0, 255]], np.uint8)
    return Picture(colours[labels])


def drawn(height: int, width: int) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    mask[height * 6 // 10 : height * 8 // 10, width * 6 // 10 : width * 8 // 10] = 255
    return mask


def test_a_mask_by_id_is_removed_with_a_rim(picture: Picture, labels: Labels) -> None:
    result = objects_remove(picture, FakeModels(), labels, [2])
    changed = (result.rgb != picture.rgb).any(axis=2)
    assert changed[labels == 2].all()
    assert not changed[labels == 3].any()
    assert not changed[:15].any()


def test_masks_by_id_and_drawn_masks_are_not_filled_from_each_other(
    picture: Picture, labels: Labels
) -> None:
    models = FakeModels()
    result = objects_remove(picture, models, labels, [2], [drawn(100, 150)])
    assert models.use_count == 1
    assert (result.rgb == 200).all()


def test_a_drawn_mask_of_another_size_is_scaled(picture: Picture) -> None:
    result = objects_remove(picture, FakeModels(), drawn=[drawn(200, 300)])
    changed = (result.rgb != picture.rgb).any(axis=2)
    assert changed[61:79, 91:119].all()
    assert not changed[:59].any()


def test_ids_work_on_an_edited_version_of_another_size(picture: Picture, labels: Labels) -> None:
    larger = Picture(picture.rgb.repeat(2, axis=0).repeat(2, axis=1))
    result = objects_remove(larger, FakeModels(), labels, [2])
    assert (result.rgb[40:80, 40:100] != larger.rgb[40:80, 40:100]).any(axis=2).all()
    assert np.array_equal(result.rgb[110:], larger.rgb[110:])


@pytest.mark.parametrize("mask_id", [0, 4, -1, 256, 10**9])
def test_an_unknown_id_is_refused_before_any_work(
    picture: Picture, labels: Labels, mask_id: int
) -> None:
    models = FakeModels()
    with pytest.raises(NoSuchMaskError, match=str(mask_id)):
        objects_remove(picture, models, labels, [2, mask_id])
    assert models.use_count == 0


def test_without_a_map_there_is_no_id(picture: Picture) -> None:
    with pytest.raises(NoSuchMaskError):
        objects_remove(picture, FakeModels(), None, [1])


def test_a_drawn_mask_of_another_shape_is_refused(picture: Picture) -> None:
    with pytest.raises(MaskRatioError):
        objects_remove(picture, FakeModels(), drawn=[drawn(100, 100)])


def test_an_empty_request_changes_nothing(picture: Picture, labels: Labels) -> None:
    assert np.array_equal(objects_remove(picture, FakeModels(), labels).rgb, picture.rgb)


class SourceInpainting:
    """Fills a hole with the mean of what may be copied, and remembers what may not."""

    avoided: Mask | None = None

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        self.avoided = avoid
        return MeanInpainting().fill(rgb, hole, avoid)


def test_a_removed_person_is_not_filled_with_the_others() -> None:
    labels = np.full((100, 200), 4, np.uint8)
    labels[20:80, 40:90], labels[20:80, 90:140] = 1, 2  # 3 is both
    rgb = np.full((100, 200, 3), 50, np.uint8)
    rgb[labels == 2] = (250, 0, 0)
    inpainting = SourceInpainting()
    models = FakeModels({INPAINTING: inpainting})
    removed = objects_remove(Picture(rgb), models, labels, [1]).rgb
    assert (removed[30:70, 45:85] == 50).all()
    assert inpainting.avoided is not None
    assert inpainting.avoided[50, 120]
    assert not inpainting.avoided[50, 180]
    for mask_ids in ([3], [1, 2], [4]):  # nobody is left, or nobody is removed
        objects_remove(Picture(rgb), models, labels, mask_ids)
        assert inpainting.avoided is None


def test_the_others_are_copied_if_there_is_nothing_else() -> None:
    labels = np.full((100, 200), 1, np.uint8)
    labels[:, 100:], labels[0, 0] = 2, 4
    rgb = np.full((100, 200, 3), 50, np.uint8)
    inpainting = SourceInpainting()
    objects_remove(Picture(rgb), FakeModels({INPAINTING: inpainting}), labels, [1])
    assert inpainting.avoided is None
