"""What Florence-2's vision encoder is fed, and a mistake in its published export put right."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from imaging.picture import Rgb
from models.errors import BadWeightsError

SIDE = 768
"""Side in pixels of the square that the network was trained with (its `preprocessor_config.json`)."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)

_EXPORTED_SIDE = 224
_FIRST_STRIDE = 4
"""The first stage has one token for each 4 x 4 pixels; each later stage halves both sides."""
_CHANNEL_ATTENTION = re.compile(r"blocks\.(\d+)[./].*channel_attn")


def pixel_values(rgb: Rgb, side: int = SIDE) -> NDArray[np.float32]:
    """Return a picture as the network's input: 1 x 3 x side x side, RGB, float32.

    The picture is squeezed to the square with Pillow's bicubic filter and normalised with
    ImageNet's mean and deviation, as transformers' CLIPImageProcessor does.
    """
    small = Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC)
    normal = (np.asarray(small, np.float32) / np.float32(255) - _MEAN) / _STD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def corrected(file: Path, side: int = SIDE) -> bytes | None:
    """Return a vision encoder with the right scales for `side`; None if they are right already.

    The attention between channels divides by the root of the number of tokens. The export of
    onnx-community was traced at 224 x 224 pixels, and the scales for that size became constants of
    the file (https://github.com/huggingface/transformers.js/issues/1165). At 768 x 768 they are 3.4
    times too large. Raises BadWeightsError if `file` is no ONNX file.
    """
    try:
        model = onnx.load(file)
    except Exception as error:  # a missing file, or an error of protobuf, which has no types
        raise BadWeightsError(f"{file} cannot be loaded: {error}") from error
    changed = False
    for stage, tensor in _scalars(model.graph):
        stride = _FIRST_STRIDE * 2**stage
        traced, right = stride / _EXPORTED_SIDE, stride / side
        if np.isclose(float(numpy_helper.to_array(tensor).reshape(())), traced, rtol=1e-3, atol=0):
            value = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(value, right), tensor.name))
            changed = True
    return model.SerializeToString() if changed else None


def _scalars(graph: onnx.GraphProto) -> Iterator[tuple[int, onnx.TensorProto]]:
    """Yield each single number in the attention between channels, with the number of its stage."""
    named = [(tensor.name, tensor) for tensor in graph.initializer]
    named += [
        (node.output[0], attribute.t)
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    for name, tensor in named:
        found = _CHANNEL_ATTENTION.search(name)
        is_number = tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        if found and is_number and int(np.prod(tensor.dims)) == 1:
            yield int(found[1]), tensor
