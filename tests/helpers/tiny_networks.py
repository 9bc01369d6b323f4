"""Tiny ONNX files with the inputs and outputs of published networks, whose results are known."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(
    file: Path,
    outputs: int = 2,
    kind: int = TensorProto.FLOAT,
    side: int = 384,
    gain: float = 1,
) -> Path:
    """Write a network whose last output is `gain` times the mean of red, -1..1, and whose others are 0."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = np.zeros((3, outputs), dtype)
    weights[0, -1] = gain
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        ],
        "vit",
        [helper.make_tensor_value_info("pixel_values", kind, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("logits", kind, ["batch", outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    return file


def red_matting(file: Path) -> None:
    """Write a matting network whose subject is what is red."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 64, 64])
    starts, ends, axes = (
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("starts", 0), ("ends", 1), ("axes", 1))
    )
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])
    graph = helper.make_graph([node], "red", [x], [y], [starts, ends, axes])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
