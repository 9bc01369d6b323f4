"""Rewrites an ONNX network so that onnxruntime spends its time on what the network is asked for.

On processors onnxruntime convolves in blocks of 8 or 16 channels (NCHWc). A convolution with one output
channel costs as much there as one with a whole block; and the layout is left, and entered again, at
every node that cannot run in it, such as a Resize that is given sizes instead of whole factors. Of U2-Net's
time 9 % went into reordering, 6 % into seven channels of output, and 2 % into outputs nobody reads.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper, shape_inference

_ERRORS_ONLY = 3
_FROM_SIZES = b"pytorch_half_pixel"
_BLOCK = 16
_TO_THE_END = 2**31 - 1
_AXES_AS_INPUT = 13
"""The version of ONNX's operators from which ReduceSum takes its axes as an input."""
Weights = NDArray[np.float32]


def rewritten(weights: Path) -> bytes:
    """Return the network in `weights`, its first output alone, in nodes that suit the processor.

    The input's size has to be fixed in the file, which is of ONNX's operators 11 or later. The answer is
    the same up to the rounding of float32: about 1e-5.
    """
    model = shape_inference.infer_shapes(_folded(weights))
    graph = model.graph
    del graph.output[1:]
    _drop_unread(graph)
    _tell_factors(graph)
    version = next(entry.version for entry in model.opset_import if not entry.domain)
    _narrow_convolutions(graph, version)
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


def _drop_unread(graph: GraphProto) -> None:
    """Leave out nodes whose answers nobody asks for; onnxruntime computes them all the same."""
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read.update(node.input)
            kept.append(node)
    _replace_nodes(graph, kept[::-1])


def _tell_factors(graph: GraphProto) -> None:
    """Tell each Resize its factors where it enlarges to a multiple of its input."""
    constants = _constants(graph)
    sides = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    for node in graph.node:
        if node.op_type != "Resize" or len(node.input) != 4 or node.input[3] not in constants:
            continue
        target, given = constants[node.input[3]], sides.get(node.input[0], [])
        if len(given) != len(target) or 0 in given or any(target % given):
            continue
        del node.input[3]
        node.input[2] = _add(graph, f"{node.name}_factors", (target // given).astype(np.float32))
        for attribute in node.attribute:
            # The two differ only where the result is one pixel wide, which no multiple is.
            if attribute.s == _FROM_SIZES and min(target[2:]) > 1:
                attribute.s = b"half_pixel"


def _narrow_convolutions(graph: GraphProto, version: int) -> None:
    """Give each convolution to one channel as what does not fill a block with it.

    One of k x k becomes one of 1 x 1 to k * k channels, whose planes are moved and summed; one of 1 x 1
    over less than a block of channels becomes a weighted sum. version: of ONNX's operators.
    """
    constants = _constants(graph)
    nodes = list[NodeProto]()
    for node in graph.node:
        weights = _kernel(node, constants)
        if weights is None or weights.shape[0] > 1:
            nodes.append(node)
        elif weights.shape[2] > 1:
            nodes += _parted(graph, node, weights, constants[node.input[2]])
        elif weights.shape[1] < _BLOCK:
            nodes += _weighted_sum(graph, node, weights, version)
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)


def _parted(graph: GraphProto, node: NodeProto, weights: Weights, bias: Weights) -> list[NodeProto]:
    (name,) = node.output
    channels, side = weights.shape[1:3]
    pointwise = weights[0].transpose(1, 2, 0).reshape(side * side, channels, 1, 1)
    central = np.zeros(side * side, np.float32)
    central[side * side // 2] = bias[0]  # of all planes, only this one is not moved
    inputs = [
        node.input[0],
        _add(graph, f"{name}_pointwise", np.ascontiguousarray(pointwise)),
        _add(graph, f"{name}_central", central),
    ]
    planes = f"{name}_planes"
    border = [side // 2] * 4
    made = [helper.make_node("Conv", inputs, [planes], kernel_shape=[1, 1], pads=border)]
    axes = _add(graph, f"{name}_axes", np.array([1, 2, 3]))
    moved = []
    for place, (row, column) in enumerate(np.ndindex(side, side)):
        moved.append(f"{name}_{row}_{column}")
        ends = [end - (side - 1) or _TO_THE_END for end in (row, column)]
        start = _add(graph, f"{moved[-1]}_start", np.array([place, row, column]))
        stop = _add(graph, f"{moved[-1]}_stop", np.array([place + 1, *ends]))
        made.append(helper.make_node("Slice", [planes, start, stop, axes], moved[-1:]))
    return [*made, helper.make_node("Sum", moved, [name])]


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

    None where it has groups, strides, holes or an even side, or no bias.
    """
    if node.op_type != "Conv" or len(node.input) != 3 or node.input[1] not in constants:
        return None
    weights = constants[node.input[1]]
    told = {given.name: helper.get_attribute_value(given) for given in node.attribute}
    side = weights.shape[-1]
    plain = (
        weights.ndim == 4
        and weights.shape[2] == side
        and side % 2 == 1
        and node.input[2] in constants
        and told.get("group", 1) == 1
        and told.get("auto_pad", b"NOTSET") == b"NOTSET"
        and set(told.get("strides", [1])) == {1}
        and set(told.get("dilations", [1])) == {1}
        and list(told.get("pads", [0] * 4)) == [side // 2] * 4
    )
    return weights if plain else None


def _constants(graph: GraphProto) -> dict[str, Weights]:
    return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}


def _add(graph: GraphProto, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
