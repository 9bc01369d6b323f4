"""Tiny ONNX files with the interfaces of YuNet and FairFace, for tests and the profile `tiny`.

Not random: what the detector takes for a face is a white square, so that tests know where faces are.
The files are encoded here by ONNX's protobuf definition (onnx.proto3), a few fields of it, which saves
a package that nothing else needs.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT64 = 1, 7
_CELL = 32
"""Faces are white squares of this side, on its grid, in the copy that the detector sees."""
_LANDMARKS = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.1, 1.0), (0.9, 1.0))
"""Eyes, nose, mouth in parts of the cell."""
_GENDER = 7
_AGE = 9


def make_tiny(folder: Path) -> None:
    """Write `yunet.onnx` and `fairface.onnx`.

    The first finds, with a score of 1, a face twice as wide as each white cell around its middle. The
    second tells a mainly red face as male, others as female, and all as 20 to 29 years old.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "yunet.onnx").write_bytes(_detector())
    (folder / "fairface.onnx").write_bytes(_attributes())


def _detector() -> bytes:
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
                _tensor(f"{name}.weight", weight),
                _tensor(f"{name}.bias", np.array(bias, np.float32)),
                _tensor(f"{name}.shape", np.array([1, -1, count], np.int64)),
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
            outputs.append(_value(name, [1, f"n_{stride}", count]))
    return _model(nodes, tensors, _value("input", [1, 3, "height", "width"]), outputs)


def _attributes() -> bytes:
    weight = np.zeros((3, 18), np.float32)
    weight[0, _GENDER], weight[1, _GENDER], weight[2, _GENDER] = 8, -4, -4
    bias = np.zeros(18, np.float32)
    bias[_GENDER + 1], bias[_AGE + 3] = 2, 10
    nodes = [
        _node("GlobalAveragePool", ["input"], "mean"),
        _node("Flatten", ["mean"], "colour"),
        _node("Gemm", ["colour", "weight", "bias"], "scores"),
    ]
    tensors = [_tensor("weight", weight), _tensor("bias", bias)]
    return _model(nodes, tensors, _value("input", [1, 3, 224, 224]), [_value("scores", [1, 18])])


def _model(
    nodes: Sequence[bytes], tensors: Sequence[bytes], given: bytes, outputs: Sequence[bytes]
) -> bytes:
    """Encode a ModelProto of IR version 8, operators of version 13."""
    graph = b"".join(
        [*(_field(1, node) for node in nodes), _field(2, b"tiny")]
        + [_field(5, tensor) for tensor in tensors]
        + [_field(11, given), *(_field(12, output) for output in outputs)]
    )
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13))


def _node(kind: str, inputs: Sequence[str], output: str, **lists: Sequence[int]) -> bytes:
    """Encode a NodeProto; its attributes are lists of whole numbers, type 7."""
    attributes = [
        _field(1, name.encode()) + b"".join(_field(8, i) for i in values) + _field(20, 7)
        for name, values in lists.items()
    ]
    return b"".join(
        [_field(1, name.encode()) for name in inputs]
        + [_field(2, output.encode()), _field(3, f"{output}.node".encode())]
        + [_field(4, kind.encode()), *(_field(5, attribute) for attribute in attributes)]
    )


def _tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """Encode a TensorProto."""
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    dims = b"".join(_field(1, side) for side in values.shape)
    return dims + _field(2, kind) + _field(8, name.encode()) + _field(9, values.tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Encode a ValueInfoProto of floats; a side that is a name may be of any length."""
    sides = b"".join(
        _field(1, _field(1, side) if isinstance(side, int) else _field(2, side.encode()))
        for side in shape
    )
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, sides)))


def _field(number: int, value: int | bytes) -> bytes:
    """Encode one protobuf field: a whole number, or bytes with their length before them."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Encode a whole number, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
