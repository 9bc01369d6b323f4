"""Rewriting of a convolutional ONNX network whose file has a fixed input size, so that it accepts any."""

from pathlib import Path

import onnx
from onnx import GraphProto, ValueInfoProto

_MAPS = 4
"""Number of axes of pictures and feature maps: batch, channels, rows, columns."""


def rewritten(weights: Path) -> bytes:
    """Return the network in `weights` with free batch, height and width at its inputs and outputs.

    Weights that the file lists as inputs are removed there, because onnxruntime merges only
    constants into the convolutions. Nothing else changes: a network that contains sizes, such as a
    Reshape with fixed numbers, fails when it is run with another size.
    """
    model = onnx.load(weights)
    graph = model.graph
    _remove_weights_from_inputs(graph)
    del graph.value_info[:]  # the sizes of inner feature maps
    for value in [*graph.input, *graph.output]:
        _free_sizes(value)
    return bytes(model.SerializeToString())


def _remove_weights_from_inputs(graph: GraphProto) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    pictures = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(pictures)


def _free_sizes(value: ValueInfoProto) -> None:
    """Replace the numbers of batch, rows and columns by names, one of its own for each."""
    axes = value.type.tensor_type.shape.dim
    if len(axes) != _MAPS:
        return
    for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
        axes[axis].dim_param = f"{value.name}_{name}"
