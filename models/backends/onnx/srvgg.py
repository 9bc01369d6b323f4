"""Real-ESRGAN's compact network as ONNX, made from its published torch files without torch.

The network SRVGGNetCompact (X. Wang et al., "Real-ESRGAN", 2021; basicsr/archs/srvgg_arch.py) is a
chain of 3 x 3 convolutions with PReLU between them. The last one makes 48 channels, which become
the pixels of 4 x 4 blocks; they are added to the picture, enlarged by repetition.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.backends.torch_file import read_tensors
from models.errors import BadWeightsError

FACTOR = 4
"""The network enlarges by it."""
_OPSET, _IR_VERSION = 17, 8
Weights = Mapping[str, NDArray[np.float32]]


def compact_network(files: Sequence[Path], shares: Sequence[float]) -> bytes:
    """Return the network as an ONNX file: `picture` 1 x 3 x H x W, 0..1, to 1 x 3 x 4H x 4W.

    files: torch files of the same architecture. shares: of the weights of each file in the mean of
    all (X. Wang et al., "Deep Network Interpolation", 2019). Raises BadWeightsError that names the
    file.
    """
    weights = mixed([read_tensors(file) for file in files], shares, files)
    return _chain(weights, files[0])


def mixed(states: Sequence[Weights], shares: Sequence[float], files: Sequence[Path]) -> Weights:
    """Return the weighted mean of weights; raises BadWeightsError if they are not of one architecture."""
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for file, other in zip(files, shapes, strict=True):
        if other != shapes[0]:
            raise BadWeightsError(f"{file} is of another architecture than {files[0]}")
    return {
        name: np.sum(
            [state[name] * np.float32(share) for state, share in zip(states, shares, strict=True)],
            axis=0,
            dtype=np.float32,
        )
        for name in shapes[0]
    }


def _chain(weights: Weights, file: Path) -> bytes:
    """Return the ONNX file. file: the source of the weights, for messages."""
    numbers = _layers(weights, file)
    nodes, constants, name = [], [], "picture"
    for number in numbers:
        weight, bias = f"body.{number}.weight", f"body.{number}.bias"
        value = weights[weight]
        output = f"layer_{number}"
        if value.ndim == 1:
            value = value.reshape(-1, 1, 1)
            nodes.append(helper.make_node("PRelu", [name, weight], [output]))
        else:
            constants.append(numpy_helper.from_array(weights[bias], bias))
            nodes.append(
                helper.make_node("Conv", [name, weight, bias], [output], pads=[1, 1, 1, 1])
            )
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), weight))
        name = output
    scales = np.array([1, 1, FACTOR, FACTOR], np.float32)
    constants.append(numpy_helper.from_array(scales, "scales"))
    nodes += [
        helper.make_node("DepthToSpace", [name], ["detail"], blocksize=FACTOR, mode="CRD"),
        helper.make_node(
            "Resize",
            ["picture", "", "scales"],
            ["repeated"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Add", ["detail", "repeated"], ["enlarged"]),
    ]
    ports = [
        helper.make_tensor_value_info(port, TensorProto.FLOAT, [1, 3, f"{port}_h", f"{port}_w"])
        for port in ("picture", "enlarged")
    ]
    graph = helper.make_graph(nodes, "srvgg", ports[:1], ports[1:], constants)
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())


def _layers(weights: Weights, file: Path) -> list[int]:
    """Return the numbers of the layers; raises BadWeightsError if they are no such chain."""
    numbers = sorted({int(name.split(".")[1]) for name in weights if _is_layer(name)})
    expected, channels = set[str](), 3
    for number in numbers:
        weight = weights.get(f"body.{number}.weight", np.empty(0, np.float32))
        if number % 2:
            fits = weight.shape == (channels,)
            expected.add(f"body.{number}.weight")
        else:
            fits = weight.ndim == 4 and weight.shape[1:] == (channels, 3, 3)
            channels = weight.shape[0]
            fits = fits and weights.get(f"body.{number}.bias", weight).shape == (channels,)
            expected |= {f"body.{number}.weight", f"body.{number}.bias"}
        if not fits:
            raise BadWeightsError(f"{file} does not fit: body.{number} is {weight.shape}")
    if numbers != list(range(len(numbers))) or channels != 3 * FACTOR**2 or len(numbers) % 2 == 0:
        raise BadWeightsError(f"{file} is no compact network that enlarges {FACTOR} times")
    if unknown := sorted(weights.keys() - expected):
        raise BadWeightsError(f"{file} does not fit: {unknown[0]} is unknown")
    return numbers


def _is_layer(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 3 and parts[0] == "body" and parts[1].isdecimal()
