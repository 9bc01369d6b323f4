"""Face analysis by OpenCV's real detector class with a tiny ONNX file that detects white squares."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging.picture import Rgb
from models.backends.torch.faces import YuNetFaces, pose
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
def faces(folder: Path) -> YuNetFaces:
    return YuNetFaces(folder / "yunet.onnx", folder / "fairface.onnx", DeviceConfig())


def picture(*corners: tuple[int, int], side: int = 32, size: tuple[int, int] = (320, 256)) -> Rgb:
    """Return a black picture with white squares at these corners; `size` is width, height."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in corners:
        rgb[y : y + side, x : x + side] = 255
    return rgb


def test_a_face_is_found_at_its_position(faces: YuNetFaces) -> None:
    (face,) = faces.analyse(picture((128, 64)))
    assert face.rect == pytest.approx((112, 48, 64, 64), abs=0.01)
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks[0] == pytest.approx((128, 64))
    assert face.landmarks[1] == pytest.approx((160, 64))
    assert 0.99 < face.score <= 1
    assert (face.yaw, face.roll) == (0, 0)


def test_boxes_are_in_pixels_of_the_original_picture(faces: YuNetFaces) -> None:
    (face,) = faces.analyse(picture((288, 96), side=96, size=(3840, 1920)))
    assert face.rect == pytest.approx((240, 48, 192, 192), abs=0.5)
    assert face.landmarks[1] == pytest.approx((384, 96), abs=0.5)


def test_a_face_that_fills_a_large_picture_is_found_once(faces: YuNetFaces) -> None:
    found = faces.analyse(picture((768, 384), side=192, size=(1920, 1920)))
    assert len(found) == 1
    assert found[0].rect == pytest.approx((672, 288, 384, 384), abs=0.5)


def test_the_largest_face_is_first(faces: YuNetFaces) -> None:
    # The small face is detected only in the larger copy, the large one only in the smaller copy.
    rgb = picture((768, 384), side=192, size=(1920, 1920))
    rgb[1440:1488, 192:240] = 255
    areas = [face.rect[2] * face.rect[3] for face in faces.analyse(rgb)]
    assert len(areas) == 2
    assert areas == sorted(areas, reverse=True)


def test_there_are_at_most_64_faces(faces: YuNetFaces) -> None:
    corners = [(x, y) for x in range(0, 1280, 96) for y in range(0, 1280, 96)]
    assert len(faces.analyse(picture(*corners, size=(1280, 1280)))) == 64


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (700, 1, 3), (33, 7, 3)])
def test_a_picture_without_faces_of_any_size_has_none(
    faces: YuNetFaces, shape: tuple[int, int, int]
) -> None:
    assert faces.analyse(np.zeros(shape, np.uint8)) == []


def test_the_attribute_model_gets_rgb_channels(faces: YuNetFaces) -> None:
    white, red = picture((128, 64)), picture((128, 64))
    red[..., 0] = np.maximum(red[..., 0], 90)
    assert [face.gender for face in faces.analyse(white)] == ["Female"]
    assert [face.gender for face in faces.analyse(red)] == ["Male"]


def test_age_and_gender_have_their_probabilities(faces: YuNetFaces) -> None:
    (face,) = faces.analyse(picture((128, 64)))
    assert face.age == (20, 29)
    assert face.gender_probability is not None
    assert 0.8 <= face.gender_probability <= 1


def test_without_an_attribute_model_age_and_gender_are_unknown(folder: Path) -> None:
    (face,) = YuNetFaces(folder / "yunet.onnx", None, DeviceConfig()).analyse(picture((128, 64)))
    assert (face.age, face.gender, face.gender_probability) == (None, None, None)


def test_the_picture_is_not_modified(faces: YuNetFaces) -> None:
    rgb = picture((128, 64))
    before = rgb.copy()
    faces.analyse(rgb)
    assert np.array_equal(rgb, before)


def test_threads_get_the_faces_of_their_own_pictures(faces: YuNetFaces) -> None:
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
        YuNetFaces(tmp_path / "yunet.onnx", tmp_path / "fairface.onnx", DeviceConfig())


def test_swapped_files_are_refused(folder: Path) -> None:
    with pytest.raises(BadWeightsError, match="fairface"):
        YuNetFaces(folder / "fairface.onnx", None, DeviceConfig())
    with pytest.raises(BadWeightsError, match="yunet"):
        YuNetFaces(folder / "yunet.onnx", folder / "yunet.onnx", DeviceConfig())


@pytest.mark.parametrize("degrees", [-40, -10, 0, 25, 60])
def test_roll_is_the_angle_of_rotation(degrees: float) -> None:
    upright = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)
    turn = cv2.getRotationMatrix2D((50, 50), -degrees, 1)
    turned = np.concatenate([upright, np.ones((5, 1), np.float32)], axis=1) @ turn.T
    assert pose(turned.astype(np.float32)).roll == pytest.approx(degrees, abs=0.01)
    assert pose(turned.astype(np.float32)).yaw == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("degrees", [-50, -15, 0, 30])
def test_yaw_is_the_angle_of_a_canonical_head(degrees: float) -> None:
    head = np.array(
        [[-3.151, 0, 3.466], [3.151, 0, 3.466], [0, 3, 7.476], [-2.5, 6, 4], [2.5, 6, 4]]
    )
    turn = np.radians(degrees)
    across = head[:, 0] * np.cos(turn) + head[:, 2] * np.sin(turn)
    seen = np.stack([across, head[:, 1]], axis=1).astype(np.float32)
    assert pose(seen).yaw == pytest.approx(degrees, abs=0.2)
