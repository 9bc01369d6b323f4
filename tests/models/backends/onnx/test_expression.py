"""The expression of a face, with tiny ONNX files that have the interface of the published one."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from imaging.picture import Picture, Rgb
from models.backends.onnx.detected_face import DetectedFace
from models.backends.onnx.expression import (
    EXPRESSIONS,
    Expression,
    likely_expression,
    network_input,
)
from models.backends.onnx.face_analysis import FaceNetworks
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.roles import Face
from models.tiny.faces import make_tiny

LANDMARKS = np.array([[203, 103], [247, 102], [224, 123], [205, 144], [243, 143]], np.float32)
FACE = DetectedFace((179, 62, 90, 114), LANDMARKS, 0.9)


def network(file: Path, side: int, weight: NDArray[np.float32], softmax: bool = False) -> Path:
    """Write a network: the mean colour (-1..1 or so) of a picture times `weight`, 3 x classes."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weight"], ["scores" if softmax else "label"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["label"], axis=1))
    batch = "n" if softmax else 1
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("label", TensorProto.FLOAT, [batch, weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight")],
    )
    versions = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), file)
    return file


def happy_if_red(folder: Path) -> Path:
    weight = np.zeros((3, 7), np.float32)
    weight[0, EXPRESSIONS.index("happy")] = 9
    weight[2, EXPRESSIONS.index("sad")] = 9
    return network(folder / "expression.onnx", 112, weight)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 0, 0), "happy"), ((0, 0, 255), "sad"), ((255, 0, 255), None), ((0, 0, 0), None)],
)
def test_the_class_of_the_highest_score_is_told_if_it_is_sure(
    tmp_path: Path, colour: tuple[int, int, int], expected: str | None
) -> None:
    rgb = np.full((300, 400, 3), colour, np.uint8)
    assert Expression(happy_if_red(tmp_path)).estimate(rgb, FACE) == expected


def test_nothing_is_told_of_a_small_face(tmp_path: Path) -> None:
    rgb = np.full((300, 400, 3), (255, 0, 0), np.uint8)
    small = FACE._replace(rect=(179, 62, 20, 26))
    assert Expression(happy_if_red(tmp_path)).estimate(rgb, small) is None


def test_the_network_is_fed_the_publishers_transform(photo: Callable[[str], Picture]) -> None:
    rgb = photo("astronaut").rgb
    tensor = network_input(rgb, FACE)
    assert tensor.shape == (2, 3, 112, 112)
    assert tensor.dtype == np.float32
    # As in opencv_zoo: the similarity by least squares, warpAffine, RGB, (value / 255 - 0.5) / 0.5.
    goal = np.array(
        [
            [38.2946, 51.6963],
            [73.5318, 51.5014],
            [56.0252, 71.7366],
            [41.5493, 92.3655],
            [70.7299, 92.2041],
        ]
    )
    x, y = LANDMARKS.astype(np.float64).T
    ones, zeros = np.ones(5), np.zeros(5)
    columns = (np.r_[x, y], np.r_[-y, x], np.r_[ones, zeros], np.r_[zeros, ones])
    (a, b, tx, ty), *_ = np.linalg.lstsq(
        np.stack(columns, axis=1), np.r_[goal[:, 0], goal[:, 1]], rcond=None
    )
    chip = cv2.warpAffine(rgb, np.array([[a, -b, tx], [b, a, ty]]), (112, 112))
    golden = ((chip.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)
    assert np.abs(tensor[0] - golden).max() <= 3 / 127.5
    assert np.array_equal(tensor[1], tensor[0][..., ::-1]), "the second is mirrored"


def test_scores_before_and_after_the_softmax_mean_the_same() -> None:
    scores = np.zeros((2, 7), np.float32)
    scores[:, 3] = 5
    powers = np.exp(scores)
    assert likely_expression(scores) == "happy"
    assert likely_expression(powers / powers.sum(axis=1, keepdims=True)) == "happy"
    scores[1] = np.roll(scores[1], 1)
    assert likely_expression(scores) is None, "the mirror image shows another expression"


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x08"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "expression.onnx"
    file.write_bytes(content)
    with pytest.raises(BadWeightsError, match=r"expression\.onnx"):
        Expression(file)


def test_another_network_is_refused(tmp_path: Path) -> None:
    eight = network(tmp_path / "eight.onnx", 112, np.zeros((3, 8), np.float32))
    with pytest.raises(BadWeightsError, match=r"eight\.onnx"):
        Expression(eight)
    larger = network(tmp_path / "larger.onnx", 224, np.zeros((3, 7), np.float32))
    with pytest.raises(BadWeightsError, match=r"larger\.onnx"):
        Expression(larger)


@pytest.fixture
def analysis(tmp_path: Path) -> FaceNetworks:
    """The face analysis of profile `cpu`, whose networks say: red means male, happy and 33."""
    make_tiny(tmp_path)
    age, gender = np.zeros((3, 81), np.float32), np.zeros((3, 2), np.float32)
    age[0, 33], gender[0, 1] = 60, 20
    paths = [
        tmp_path / "yunet.onnx",
        network(tmp_path / "age.onnx", 64, age, softmax=True),
        network(tmp_path / "gender.onnx", 32, gender, softmax=True),
        happy_if_red(tmp_path),
    ]
    return FaceNetworks.load(paths, DeviceConfig(), detector="yunet")


def cell(size: int = 320) -> Rgb:
    """Return a red picture with a white square, which the tiny YuNet finds."""
    rgb = np.full((size, size, 3), (250, 20, 20), np.uint8)
    rgb[128:160, 128:160] = 255
    return rgb


def test_profile_cpu_tells_age_gender_and_expression(analysis: FaceNetworks) -> None:
    (face,) = analysis.analyse(cell())
    assert isinstance(face, Face)
    assert face.rect == pytest.approx((112, 112, 64, 64), abs=0.01)
    assert (face.age, face.gender, face.expression) == ((26, 42), "Male", "happy")
    assert face.gender_probability is not None
    assert 0.85 <= face.gender_probability <= 1
