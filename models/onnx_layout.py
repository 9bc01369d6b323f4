"""Rewrites an ONNX network so that onnxruntime keeps its blocked layout from end to end.

On processors onnxruntime convolves in blocks of channels (NCHWc). It leaves that layout, and comes back,
at every node it cannot run in it: at each Resize that is given sizes instead of whole factors. U2-Net
has 38 of them, and 9 % of its time went into reordering.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, numpy_helper, shape_inference

_ERRORS_ONLY = 3
_FROM_SIZES = b"pytorch_half_pixel"


def with_whole_factors(weights: Path) -> bytes:
    """Give the network in `weights`, its first output alone, with each Resize told by its factor.

    That is where it enlarges to a multiple of its input. The input's size has to be fixed in the
    file. The answer is the same up to the rounding of float32: about 1e-5.
    """
    model = shape_inference.infer_shapes(_folded(weights))
    sides = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    constants = {constant.name: constant for constant in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Resize" and len(node.input) == 4 and node.input[3] in constants:
            target = numpy_helper.to_array(constants[node.input[3]])
            _tell_factors(model, node, sides.get(node.input[0], []), target)
    # Answers that nobody asks for are computed all the same: U2-Net has six beside its first.
    del model.graph.output[1:]
    return bytes(model.SerializeToString())


def _folded(weights: Path) -> ModelProto:
    """Read a network with its constants computed: an exporter spells sizes out in nodes."""
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _tell_factors(
    model: ModelProto,
    node: NodeProto,
    sides: list[int],
    target: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    if len(sides) != len(target) or 0 in sides or any(target % sides):
        return
    factors = numpy_helper.from_array((target // sides).astype(np.float32), f"{node.name}_factors")
    model.graph.initializer.append(factors)
    del node.input[3]
    node.input[2] = factors.name
    for attribute in node.attribute:
        # The two differ only where the result is one pixel wide, which no multiple is.
        if attribute.s == _FROM_SIZES and min(target[2:]) > 1:
            attribute.s = b"half_pixel"
