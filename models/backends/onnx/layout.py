"""Rewriting of an ONNX network so that onnxruntime runs it faster on the CPU, with the same result.

On the CPU, onnxruntime convolves in blocks of 8 or 16 channels (the NCHWc layout). A convolution
with one output channel costs as much as one with a whole block. A node that cannot run in this
layout, such as a Resize with sizes instead of integer factors, needs a reordering before and after
it. In U2-Net, reordering took 9 % of the time, the seven one-channel outputs 6 %, and unused
outputs 2 %.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper, shape_inference

_ERRORS_ONLY = 3
"""onnxruntime's log level for errors."""
_PYTORCH_HALF_PIXEL = b"pytorch_half_pixel"
_BLOCK = 16
_TO_THE_END = 2**31 - 1
_AXES_AS_INPUT = 13
"""The first opset version in which ReduceSum takes its axes as an input."""
Weights = NDArray[np.float32]


def rewritten(weights: Path) -> bytes:
    """Return the network in `weights` with only its first output, rewritten for the CPU.

    The file must have a fixed input size and opset version 11 or later. The result of the network
    is the same up to the rounding of float32, about 1e-5.
    """
    model = shape_inference.infer_shapes(_fold_constants(weights))
    graph = model.graph
    del graph.output[1:]
    _remove_unused(graph)
    _set_resize_factors(graph)
    version = next(entry.version for entry in model.opset_import if not entry.domain)
    _rewrite_narrow_convolutions(graph, version)
    return bytes(model.SerializeToString())


def _fold_constants(weights: Path) -> ModelProto:
    """Read a network and compute its constants: exporters write sizes as chains of nodes."""
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _remove_unused(graph: GraphProto) -> None:
    """Remove nodes with unused outputs. Otherwise onnxruntime would compute them."""
    used = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update(node.input)
            nodes.append(node)
    _replace_nodes(graph, nodes[::-1])


def _set_resize_factors(graph: GraphProto) -> None:
    """Replace the sizes of each Resize by factors, if it enlarges its input by integer factors."""
    constants = _constants(graph)
    sides = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    for node in graph.node:
        if node.op_type != "Resize" or len(node.input) != 4 or node.input[3] not in constants:
            continue
        target, source = constants[node.input[3]], sides.get(node.input[0], [])
        if len(source) != len(target) or 0 in source or any(target % source):
            continue
        del node.input[3]
        node.input[2] = _add(graph, f"{node.name}_factors", (target // source).astype(np.float32))
        for attribute in node.attribute:
            # The two modes differ only if the result is one pixel wide.
            if attribute.s == _PYTORCH_HALF_PIXEL and min(target[2:]) > 1:
                attribute.s = b"half_pixel"


def _rewrite_narrow_convolutions(graph: GraphProto, version: int) -> None:
    """Replace each convolution with one output channel by nodes that do not waste a whole block on it.

    A k x k convolution becomes a 1 x 1 convolution with k * k output channels; these planes are
    shifted and summed. A 1 x 1 convolution over less than a block of channels becomes a weighted
    sum. version: of the opset.
    """
    constants = _constants(graph)
    nodes = list[NodeProto]()
    for node in graph.node:
        weights = _kernel(node, constants)
        if weights is None or weights.shape[0] > 1:
            nodes.append(node)
        elif weights.shape[2] > 1:
            nodes += _shifted_planes(graph, node, weights, constants[node.input[2]])
        elif weights.shape[1] < _BLOCK:
            nodes += _weighted_sum(graph, node, weights, version)
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)


def _shifted_planes(
    graph: GraphProto, node: NodeProto, weights: Weights, bias: Weights
) -> list[NodeProto]:
    """Return the nodes that replace a k x k convolution with one output channel."""
    (name,) = node.output
    channels, side = weights.shape[1:3]
    pointwise = weights[0].transpose(1, 2, 0).reshape(side * side, channels, 1, 1)
    central = np.zeros(side * side, np.float32)
    central[side * side // 2] = bias[0]  # on the central plane, the only one that is not shifted
    inputs = [
        node.input[0],
        _add(graph, f"{name}_pointwise", np.ascontiguousarray(pointwise)),
        _add(graph, f"{name}_central", central),
    ]
    planes = f"{name}_planes"
    border = [side // 2] * 4
    nodes = [helper.make_node("Conv", inputs, [planes], kernel_shape=[1, 1], pads=border)]
    axes = _add(graph, f"{name}_axes", np.array([1, 2, 3]))
    shifted = []
    for plane, (row, column) in enumerate(np.ndindex(side, side)):
        shifted.append(f"{name}_{row}_{column}")
        ends = [end - (side - 1) or _TO_THE_END for end in (row, column)]
        start = _add(graph, f"{shifted[-1]}_start", np.array([plane, row, column]))
        stop = _add(graph, f"{shifted[-1]}_stop", np.array([plane + 1, *ends]))
        nodes.append(helper.make_node("Slice", [planes, start, stop, axes], shifted[-1:]))
    return [*nodes, helper.make_node("Sum", shifted, [name])]


def _weighted_sum(
    graph: GraphProto, node: NodeProto, weights: Weights, version: int
) -> list[NodeProto]:
    (name,) = node.output
    scaled, total = f"{name}_scaled", f"{name}_total"
    summed = helper.make_node("ReduceSum", [scaled], [total])
    if version < _AXES_AS_INPUT:
        summed.attribute.append(helper.make_attribute("axes", [1]))
    else:
        summed.input.append(_add(graph, f"{name}_axis", np.array([1])))
    shares = _add(graph, f"{name}_shares", weights)
    return [
        helper.make_node("Mul", [node.input[0], shares], [scaled]),
        summed,
        helper.make_node("Add", [total, node.input[2]], [name]),
    ]


def _kernel(node: NodeProto, constants: dict[str, Weights]) -> Weights | None:
    """Return the weights of a plain two-dimensional convolution that keeps its input's size.

    None if it has groups, strides, dilations, an even kernel side or no bias.
    """
    if node.op_type != "Conv" or len(node.input) != 3 or node.input[1] not in constants:
        return None
    weights = constants[node.input[1]]
    options = {option.name: helper.get_attribute_value(option) for option in node.attribute}
    side = weights.shape[-1]
    plain = (
        weights.ndim == 4
        and weights.shape[2] == side
        and side % 2 == 1
        and node.input[2] in constants
        and options.get("group", 1) == 1
        and options.get("auto_pad", b"NOTSET") == b"NOTSET"
        and set(options.get("strides", [1])) == {1}
        and set(options.get("dilations", [1])) == {1}
        and list(options.get("pads", [0] * 4)) == [side // 2] * 4
    )
    return weights if plain else None


def _constants(graph: GraphProto) -> dict[str, Weights]:
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def _add(graph: GraphProto, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
