"""The rewritten network is the same network."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from models.onnx_layout import with_whole_factors
from models.pool import Pool
from tests.conftest import PHOTOS


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_u2net_answers_as_before(name: str, weights_dir: Path, lite: Pool) -> None:
    weights = weights_dir / "u2netp.onnx"
    rgb = cv2.resize(cv2.imread(str(PHOTOS / f"{name}.jpg")), (320, 320))
    tensor = (rgb.astype(np.float32) / 128 - 1).transpose(2, 0, 1)[None].copy()
    before, after = (
        ort.InferenceSession(file, _quiet(), providers=["CPUExecutionProvider"])
        for file in (str(weights), with_whole_factors(weights))
    )
    first = [before.get_outputs()[0].name]
    assert [output.name for output in after.get_outputs()] == first
    old, new = (
        session.run(first, {session.get_inputs()[0].name: tensor})[0] for session in (before, after)
    )
    assert np.abs(old - new).max() < 1e-4
    assert np.abs(old - new).mean() < 1e-6


def test_no_resize_of_u2net_is_left_with_sizes(weights_dir: Path, lite: Pool) -> None:
    graph = onnx.load_from_string(with_whole_factors(weights_dir / "u2netp.onnx")).graph
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == 38
    assert all(len(node.input) == 3 for node in resizes)


def test_a_size_that_is_no_multiple_stays(tmp_path: Path) -> None:
    sizes = onnx.helper.make_tensor("sizes", onnx.TensorProto.INT64, [4], [1, 2, 15, 20])
    resize = onnx.helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 2, 10, 10]), ("y", [1, 2, 15, 20]))
    ]
    graph = onnx.helper.make_graph([resize], "g", ends[:1], ends[1:], [sizes])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "net.onnx")
    kept = onnx.load_from_string(with_whole_factors(tmp_path / "net.onnx")).graph.node[0]
    assert list(kept.input) == ["x", "", "", "sizes"]


def _quiet() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options
