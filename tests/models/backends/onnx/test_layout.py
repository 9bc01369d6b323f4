"""The rewritten network computes the check_same as the original."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, helper, numpy_helper

from models.backends.onnx.layout import rewritten
from models.runtime.pool import Pool
from tests.helpers.places import PHOTOS

SIDE = 10


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_u2net_has_the_same_outputs(name: str, weights_dir: Path, lite: Pool) -> None:
    weights = weights_dir / "u2netp.onnx"
    rgb = cv2.resize(cv2.imread(str(PHOTOS / f"{name}.jpg")), (320, 320))
    tensor = (rgb.astype(np.float32) / 128 - 1).transpose(2, 0, 1)[None].copy()
    old, new = outputs(weights, tensor)
    assert np.abs(old - new).max() < 1e-4
    assert np.abs(old - new).mean() < 1e-6


def test_slow_operators_are_removed_from_u2net(weights_dir: Path, lite: Pool) -> None:
    graph = graph_of(weights_dir / "u2netp.onnx")
    assert len(graph.output) == 1
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == 38
    assert all(len(node.input) == 3 for node in resizes)
    assert [node.op_type for node in graph.node].count("Sigmoid") == 1
    assert not narrow(graph)


def test_a_size_that_is_not_a_multiple_is_not_rewritten(tmp_path: Path) -> None:
    sizes = onnx.helper.make_tensor("sizes", onnx.TensorProto.INT64, [4], [1, 2, 15, 20])
    resize = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear")
    file = save(tmp_path, [resize], 2, [sizes], [1, 2, 15, 20])
    assert list(graph_of(file).node[0].input) == ["x", "", "", "sizes"]


@pytest.mark.parametrize("side", [3, 5])
def test_a_convolution_to_one_channel_is_split(side: int, tmp_path: Path) -> None:
    file = convolution(tmp_path, (1, 32, side, side), pads=[side // 2] * 4)
    assert not narrow(graph_of(file))
    check_same(file, 32)


@pytest.mark.parametrize("version", [11, 13])
def test_few_planes_become_a_sum(version: int, tmp_path: Path) -> None:
    file = convolution(tmp_path, (1, 6, 1, 1), version)
    assert [node.op_type for node in graph_of(file).node] == ["Mul", "ReduceSum", "Add"]
    check_same(file, 6)


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((2, 32, 3, 3), {"pads": [1] * 4}),
        ((1, 32, 3, 3), {}),
        ((1, 32, 3, 3), {"pads": [0, 0, 2, 2]}),
        ((1, 32, 3, 3), {"pads": [1] * 4, "strides": [2, 2]}),
        ((1, 32, 3, 3), {"pads": [1] * 4, "dilations": [2, 2]}),
        ((1, 32, 2, 2), {"pads": [1] * 4}),
        ((1, 32, 3, 1), {"pads": [1] * 4}),
        ((1, 32, 3, 3), {"auto_pad": "SAME_UPPER"}),
        ((1, 32, 1, 1), {}),
    ],
)
def test_other_convolutions_are_not_rewritten(
    shape: Sequence[int], attributes: dict[str, list[int]], tmp_path: Path
) -> None:
    file = convolution(tmp_path, shape, **attributes)
    (node,) = graph_of(file).node
    assert node.op_type == "Conv"
    assert helper.get_attribute_value(node.attribute[0])
    check_same(file, shape[1])


def test_unused_outputs_are_removed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Sigmoid", ["x"], ["z"]),
        helper.make_node("Neg", ["z"], ["unread"]),
    ]
    file = save(tmp_path, nodes, 2, [], [1, 2, SIDE, SIDE])
    assert [node.op_type for node in graph_of(file).node] == ["Relu"]


def narrow(graph: GraphProto) -> list[NodeProto]:
    """Return the convolutions to one channel."""
    shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
    found = [node for node in graph.node if node.op_type == "Conv"]
    return [node for node in found if shapes[node.input[1]][0] == 1]


def convolution(
    folder: Path, shape: Sequence[int], version: int = 13, **attributes: Sequence[int] | str
) -> Path:
    """Save a network of one convolution with random weights (outputs, inputs, height, width)."""
    random_generator = np.random.default_rng(3)
    weights = numpy_helper.from_array(random_generator.normal(size=shape).astype(np.float32), "w")
    bias = numpy_helper.from_array(random_generator.normal(size=shape[0]).astype(np.float32), "b")
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=shape[2:], **attributes)
    return save(folder, [node], shape[1], [weights, bias], [1, shape[0], "h", "w"], version)


def save(
    folder: Path,
    nodes: list[NodeProto],
    channels: int,
    constants: list[onnx.TensorProto],
    shape: list[int | str],
    version: int = 13,
) -> Path:
    """Save a network from x, 1 x channels x SIDE x SIDE, to y."""
    input_info = helper.make_tensor_value_info(
        "x", onnx.TensorProto.FLOAT, [1, channels, SIDE, SIDE]
    )
    output_info = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "g", [input_info], [output_info], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    model.ir_version = 8
    file = folder / "net.onnx"
    onnx.save(model, file)
    return file


def graph_of(file: Path) -> GraphProto:
    return onnx.load_from_string(rewritten(file)).graph


def check_same(file: Path, channels: int) -> None:
    """Check that the network in `file` has the check_same outputs after rewriting."""
    x = np.random.default_rng(5).normal(size=(1, channels, SIDE, SIDE)).astype(np.float32)
    old, new = outputs(file, x)
    assert np.abs(old).max() > 0.1
    np.testing.assert_allclose(new, old, atol=1e-4)


def outputs(file: Path, x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the first output of the network in `file`, original and rewritten."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    found = []
    for network in (str(file), rewritten(file)):
        session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        first = session.get_outputs()[0].name
        found.append(np.asarray(session.run([first], {session.get_inputs()[0].name: x})[0]))
    return found
