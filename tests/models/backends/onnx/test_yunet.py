"""Face analysis by OpenCV's real detector class with a tiny ONNX file that detects white squares."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imaging.picture import Picture, Rgb
from models.backends.onnx.face_analysis import FaceNetworks
from models.backends.onnx.fairface import FairFace
from models.backends.onnx.yunet import YuNet, detector_input
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.roles import Face
from models.tiny.faces import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def faces(folder: Path) -> FaceNetworks:
    return FaceNetworks.load([folder], DeviceConfig(), detector="yunet", fairface=True)


def picture(*corners: tuple[int, int], side: int = 32, size: tuple[int, int] = (320, 256)) -> Rgb:
    """Return a black picture with white squares at these corners; `size` is width, height."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in corners:
        rgb[y : y + side, x : x + side] = 255
    return rgb


def test_a_face_is_found_at_its_position(faces: FaceNetworks) -> None:
    (face,) = faces.analyse(picture((128, 64)))
    assert face.rect == pytest.approx((112, 48, 64, 64), abs=0.01)
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks[0] == pytest.approx((128, 64))
    assert face.landmarks[1] == pytest.approx((160, 64))
    assert 0.99 < face.score <= 1
    assert (face.yaw, face.roll) == pytest.approx((0, 0), abs=1e-4)


def test_boxes_are_in_pixels_of_the_original_picture(faces: FaceNetworks) -> None:
    (face,) = faces.analyse(picture((288, 96), side=96, size=(3840, 1920)))
    assert face.rect == pytest.approx((240, 48, 192, 192), abs=0.5)
    assert face.landmarks[1] == pytest.approx((384, 96), abs=0.5)


def test_a_face_that_fills_a_large_picture_is_found_once(faces: FaceNetworks) -> None:
    found = faces.analyse(picture((768, 384), side=192, size=(1920, 1920)))
    assert len(found) == 1
    assert found[0].rect == pytest.approx((672, 288, 384, 384), abs=0.5)


def test_the_largest_face_is_first(faces: FaceNetworks) -> None:
    # The small face is detected only in the larger copy, the large one only in the smaller copy.
    rgb = picture((768, 384), side=192, size=(1920, 1920))
    rgb[1440:1488, 192:240] = 255
    areas = [face.rect[2] * face.rect[3] for face in faces.analyse(rgb)]
    assert len(areas) == 2
    assert areas == sorted(areas, reverse=True)


def test_there_are_at_most_64_faces(faces: FaceNetworks) -> None:
    corners = [(x, y) for x in range(0, 1280, 96) for y in range(0, 1280, 96)]
    assert len(faces.analyse(picture(*corners, size=(1280, 1280)))) == 64


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (700, 1, 3), (33, 7, 3)])
def test_a_picture_without_faces_of_any_size_has_none(
    faces: FaceNetworks, shape: tuple[int, int, int]
) -> None:
    assert faces.analyse(np.zeros(shape, np.uint8)) == []


def test_the_attribute_model_gets_rgb_channels(faces: FaceNetworks) -> None:
    white, red = picture((128, 64)), picture((128, 64))
    red[..., 0] = np.maximum(red[..., 0], 90)
    assert [face.gender for face in faces.analyse(white)] == ["Female"]
    assert [face.gender for face in faces.analyse(red)] == ["Male"]


def test_age_and_gender_have_their_probabilities(faces: FaceNetworks) -> None:
    (face,) = faces.analyse(picture((128, 64)))
    assert face.age == (20, 29)
    assert face.gender_probability is not None
    assert 0.8 <= face.gender_probability <= 1


def test_without_an_attribute_model_age_and_gender_are_unknown(folder: Path) -> None:
    (face,) = FaceNetworks(YuNet(folder / "yunet.onnx")).analyse(picture((128, 64)))
    assert (face.age, face.gender, face.gender_probability) == (None, None, None)


def test_the_picture_is_not_modified(faces: FaceNetworks) -> None:
    rgb = picture((128, 64))
    before = rgb.copy()
    faces.analyse(rgb)
    assert np.array_equal(rgb, before)


def test_threads_get_the_faces_of_their_own_pictures(faces: FaceNetworks) -> None:
    pictures = [picture((32 * (i % 8), 64), size=(320 + 32 * (i % 3), 256)) for i in range(24)]

    def first(found: list[Face]) -> tuple[float, ...]:
        return tuple(round(value) for value in found[0].rect)

    alone = [first(faces.analyse(one)) for one in pictures]
    with one_at_a_time() as queued, ThreadPoolExecutor(4) as threads:
        assert [first(found) for found in threads.map(queued(faces.analyse), pictures)] == alone


@pytest.mark.parametrize("name", ["yunet.onnx", "fairface.onnx"])
@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x08\x08"]
)
def test_a_broken_file_is_named(folder: Path, tmp_path: Path, name: str, content: bytes) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadWeightsError, match=name):
        FaceNetworks.load([tmp_path], DeviceConfig(), detector="yunet", fairface=True)


def test_swapped_files_are_refused(folder: Path) -> None:
    with pytest.raises(BadWeightsError, match="fairface"):
        YuNet(folder / "fairface.onnx")
    with pytest.raises(BadWeightsError, match="yunet"):
        FairFace(folder / "yunet.onnx")


def test_the_detector_is_given_bgr_reduced_to_its_side(photo: Callable[[str], Picture]) -> None:
    rgb = photo("astronaut").rgb
    assert np.array_equal(detector_input(rgb, 1280), rgb[..., ::-1]), "a smaller picture stays"
    golden = rgb.reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))[..., ::-1]
    assert np.abs(detector_input(rgb, 256) - golden).max() <= 0.75
