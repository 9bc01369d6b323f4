"""Tiny ONNX files with the signature of published networks, so that their loading code runs in tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT, BYTES = TensorProto.FLOAT, TensorProto.UINT8
Shape = Sequence[int | str]
Port = tuple[str, int, Shape]
"""Name, element type and shape of an input or output. A side with a name takes any number."""


def write(
    file: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[Port],
    output: Port,
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Write a network of `nodes`; return `file`."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*output)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    return file


def lama(file: Path, kind: str, side: int = 512, batch: int | str = "batch") -> Path:
    """Write a network with the signature of Carve/LaMa-ONNX.

    kind: what it returns. "mask": 255 in the hole, 0 elsewhere. "mean": the mean of its input
    picture, times 255. "colour": (200, 100, 50) everywhere. "unit": its input picture, 0..1.
    """
    shape, mask = (batch, 3, side, side), (batch, 1, side, side)
    constants: dict[str, NDArray[Any]] = {
        "zero": np.zeros((1, 3, side, side), np.float32),
        "levels": np.float32(255).reshape(1, 1, 1, 1),
        "colour": np.array([200, 100, 50], np.float32).reshape(1, 3, 1, 1),
    }
    nodes = {
        "mask": [
            helper.make_node("Mul", ["mask", "levels"], ["m"]),
            helper.make_node("Add", ["m", "zero"], ["output"]),
        ],
        "mean": [
            helper.make_node("ReduceMean", ["image"], ["m"], axes=[2, 3]),
            helper.make_node("Mul", ["m", "levels"], ["n"]),
            helper.make_node("Add", ["n", "zero"], ["output"]),
        ],
        "colour": [helper.make_node("Add", ["colour", "zero"], ["output"])],
        "unit": [helper.make_node("Identity", ["image"], ["output"])],
    }[kind]
    ports = [("image", FLOAT, shape), ("mask", FLOAT, mask)]
    return write(file, nodes, ports, ("output", FLOAT, shape), constants)


def migan(file: Path, kind: str) -> Path:
    """Write a network with the signature of migan_pipeline_v2.onnx.

    kind: what it returns. "mask": its mask in every channel. "mean": the mean of the pixels whose
    mask is 255. "colour": (200, 100, 50) everywhere. "picture": its input picture.
    """
    shape, mask = ("batch_size", 3, "height", "width"), ("batch_size", 1, "height", "width")
    constants: dict[str, NDArray[Any]] = {
        "nothing": np.zeros((1, 1, 1, 1), np.float32),
        "levels": np.float32(255).reshape(1, 1, 1, 1),
        "colour": np.array([200, 100, 50], np.float32).reshape(1, 3, 1, 1),
    }
    floats = [
        helper.make_node("Cast", ["image"], ["picture"], to=FLOAT),
        helper.make_node("Cast", ["mask"], ["known"], to=FLOAT),
        helper.make_node("Mul", ["picture", "nothing"], ["zero"]),
    ]
    nodes = {
        "mask": [helper.make_node("Add", ["known", "zero"], ["result_"])],
        "mean": [
            helper.make_node("Mul", ["picture", "known"], ["weighted"]),
            helper.make_node("ReduceMean", ["weighted"], ["sum"], axes=[2, 3]),
            helper.make_node("ReduceMean", ["known"], ["share"], axes=[2, 3]),
            helper.make_node("Div", ["sum", "share"], ["m"]),
            helper.make_node("Add", ["m", "zero"], ["result_"]),
        ],
        "colour": [helper.make_node("Add", ["colour", "zero"], ["result_"])],
        "picture": [helper.make_node("Identity", ["picture"], ["result_"])],
    }[kind]
    last = helper.make_node("Cast", ["result_"], ["result"], to=BYTES)
    ports = [("image", BYTES, shape), ("mask", BYTES, mask)]
    return write(file, [*floats, *nodes, last], ports, ("result", BYTES, shape), constants)


def classifier(
    file: Path, outputs: int = 2, kind: int = FLOAT, side: int = 384, gain: float = 1
) -> Path:
    """Write a network whose last output is `gain` times the mean of red, -1..1, and whose others are 0."""
    weights = np.zeros((3, outputs), helper.tensor_dtype_to_np_dtype(kind))
    weights[0, -1] = gain
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    taken: Port = ("pixel_values", kind, ("batch", 3, side, side))
    return write(file, nodes, [taken], ("logits", kind, ("batch", outputs)), {"weights": weights})


def red_matting(file: Path) -> Path:
    """Write a matting network whose subject is what is red."""
    numbers = {name: np.array([n]) for name, n in (("starts", 0), ("ends", 1), ("axes", 1))}
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["y"])
    return write(
        file, [node], [("x", FLOAT, (1, 3, 64, 64))], ("y", FLOAT, (1, 1, 64, 64)), numbers
    )


def constant(file: Path, inputs: Sequence[Port], outputs: Mapping[str, NDArray[Any]]) -> Path:
    """Write a network that takes `inputs`, uses each, and returns the constants `outputs`, float32."""
    node, sums = helper.make_node, list[NodeProto]()
    for name, _, _ in inputs:
        sums.append(node("Cast", [name], [f"{name}.float"], to=FLOAT))
        sums.append(node("ReduceSum", [f"{name}.float"], [f"{name}.sum"], keepdims=0))
    nodes = [
        *sums,
        node("Sum", [f"{name}.sum" for name, _, _ in inputs], ["total"]),
        node("Mul", ["total", "nought"], ["nothing"]),
        *(node("Add", [f"{name}.value", "nothing"], [name]) for name in outputs),
    ]
    values = {f"{name}.value": np.asarray(value, np.float32) for name, value in outputs.items()}
    values["nought"] = np.array(0, np.float32)
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [
            helper.make_tensor_value_info(name, FLOAT, value.shape)
            for name, value in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    return file
