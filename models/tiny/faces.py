"""Tiny ONNX files with the interfaces of YuNet and FairFace, for tests and profile `tiny`.

They are not random: the detector finds white squares as faces, so that tests know where faces are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

_OPSET = 13
_IR_VERSION = 8
"""Versions that old releases of OpenCV and onnxruntime can read. The defaults of onnx are newer."""
_CELL = 32
"""Side of a face in pixels. A face is a white square on a grid of this width, at the detector's size."""
_LANDMARKS = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.1, 1.0), (0.9, 1.0))
"""Positions of eyes, nose and corners of the mouth, as shares of the cell."""
_GENDER = 7
_AGE = 9


def make_tiny(folder: Path) -> None:
    """Write `yunet.onnx` and `fairface.onnx`.

    The first finds a face with score 1 around the middle of each white cell, twice as wide as the
    cell. The second classifies a mainly red face as male, others as female, and all as 20 to 29
    years old.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_detector(), folder / "yunet.onnx")
    onnx.save(_attributes(), folder / "fairface.onnx")


def _detector() -> ModelProto:
    nodes, tensors, outputs = [], [], []
    for stride in (8, 16, 32):
        # Only the coarsest level finds anything.
        level = 1 / (3 * 255 * stride**2) if stride == _CELL else 0.0
        brightness = np.full((1, 3, stride, stride), level, np.float32)
        heads = {
            "cls": (brightness, [0.0]),
            "obj": (brightness, [0.0]),
            "bbox": (None, [0.5, 0.5, np.log(2), np.log(2)]),
            "kps": (None, [part for point in _LANDMARKS for part in point]),
        }
        for head, (weight, bias) in heads.items():
            name, count = f"{head}_{stride}", len(bias)
            if weight is None:
                weight = np.zeros((count, 3, stride, stride), np.float32)
            tensors += [
                numpy_helper.from_array(weight, f"{name}.weight"),
                numpy_helper.from_array(np.array(bias, np.float32), f"{name}.bias"),
                numpy_helper.from_array(np.array([1, -1, count], np.int64), f"{name}.shape"),
            ]
            nodes += [
                _node(
                    "Conv",
                    ["input", f"{name}.weight", f"{name}.bias"],
                    f"{name}.map",
                    kernel_shape=[stride] * 2,
                    strides=[stride] * 2,
                ),
                _node("Transpose", [f"{name}.map"], f"{name}.last", perm=[0, 2, 3, 1]),
                _node("Reshape", [f"{name}.last", f"{name}.shape"], name),
            ]
            outputs.append(_floats(name, [1, f"n_{stride}", count]))
    return _model(nodes, tensors, _floats("input", [1, 3, "height", "width"]), outputs)


def _attributes() -> ModelProto:
    weight = np.zeros((3, 18), np.float32)
    weight[0, _GENDER], weight[1, _GENDER], weight[2, _GENDER] = 8, -4, -4
    bias = np.zeros(18, np.float32)
    bias[_GENDER + 1], bias[_AGE + 3] = 2, 10
    nodes = [
        _node("GlobalAveragePool", ["input"], "mean"),
        _node("Flatten", ["mean"], "colour"),
        _node("Gemm", ["colour", "weight", "bias"], "scores"),
    ]
    tensors = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    return _model(nodes, tensors, _floats("input", [1, 3, 224, 224]), [_floats("scores", [1, 18])])


def _model(
    nodes: Sequence[NodeProto],
    tensors: Sequence[TensorProto],
    graph_input: ValueInfoProto,
    outputs: Sequence[ValueInfoProto],
) -> ModelProto:
    graph = helper.make_graph(nodes, "tiny", [graph_input], outputs, tensors)
    versions = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=versions, ir_version=_IR_VERSION)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    """Return a node named after its output. attributes: lists of integers."""
    return helper.make_node(kind, inputs, [output], name=f"{output}.node", **attributes)


def _floats(name: str, shape: Sequence[int | str]) -> ValueInfoProto:
    """Return the description of a float32 tensor.

    A dimension that is a name may have any length.
    """
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
