"""Networks with a fixed input size run at any size, with the same weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.backends.onnx.any_size import rewritten
from models.backends.onnx.rewritten_cache import any_size_network, rewritten_network
from models.runtime.pool import Pool

WEIGHT = np.arange(2 * 3 * 9, dtype=np.float32).reshape(2, 3, 3, 3) / 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A convolution for ten pictures of 8 x 8, which lists its weight as an input, as CenterFace does."""
    nodes = [helper.make_node("Conv", ["picture", "weight"], ["map"], pads=[1] * 4, name="conv")]
    inputs = [
        helper.make_tensor_value_info("picture", TensorProto.FLOAT, [10, 3, 8, 8]),
        helper.make_tensor_value_info("weight", TensorProto.FLOAT, [2, 3, 3, 3]),
    ]
    outputs = [helper.make_tensor_value_info("map", TensorProto.FLOAT, [10, 2, 8, 8])]
    graph = helper.make_graph(
        nodes, "tiny", inputs, outputs, [numpy_helper.from_array(WEIGHT, "weight")]
    )
    versions = [helper.make_opsetid("", 13)]
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)
    return path


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 3, 5, 31), (10, 3, 8, 8)])
def test_pictures_of_other_sizes_are_accepted(file: Path, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    session = ort.InferenceSession(rewritten(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"picture": picture})
    padded = np.pad(picture, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    assert found == pytest.approx(np.einsum("nchwij,kcij->nkhw", windows, WEIGHT), abs=1e-3)


def test_only_the_picture_is_an_input(file: Path) -> None:
    session = ort.InferenceSession(rewritten(file), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["picture"]


def test_the_cache_keeps_the_two_rewritings_apart(file: Path) -> None:
    network = any_size_network(file)
    assert network == rewritten(file) == file.with_name("net.rewritten.onnx").read_bytes()
    before = file.with_name("net.rewritten.onnx").stat().st_mtime_ns
    assert any_size_network(file) == network
    assert file.with_name("net.rewritten.onnx").stat().st_mtime_ns == before
    file.with_name("net.rewritten.onnx").write_bytes(b"damaged")
    assert rewritten_network(file, "any_size") == network


def test_centerface_accepts_every_multiple_of_32(weights_dir: Path, lite: Pool) -> None:
    network = any_size_network(weights_dir / "centerface.onnx")
    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    for batch, height, width in ((1, 32, 64), (3, 96, 96)):
        maps = session.run(None, {"input.1": np.zeros((batch, 3, height, width), np.float32)})
        rows, columns = height // 4, width // 4
        assert [part.shape for part in maps] == [
            (batch, channels, rows, columns) for channels in (1, 2, 2, 10)
        ]
