"""The input of Florence-2's vision encoder, and the scales of its export."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from imaging.picture import Picture
from models.backends.onnx.florence2_vision import corrected, pixel_values
from models.errors import BadWeightsError
from tests.helpers.plain_resampling import bicubic, resampled

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def test_a_photograph_becomes_the_tensor_that_the_publisher_describes(
    photo: Callable[[str], Picture],
) -> None:
    rgb = photo("coffee").rgb
    tensor = pixel_values(rgb)
    assert tensor.shape == (1, 3, 768, 768)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    small = resampled(rgb, 768, bicubic, 2.0)
    expected = ((small / 255 - MEAN) / STD).transpose(2, 0, 1)
    levels = np.abs(tensor[0] - expected) * STD[:, None, None] * 255
    assert levels.max() < 1.01, "one level of rounding"
    assert levels.mean() < 0.05


def test_a_picture_is_squeezed_and_not_cropped_and_red_is_first() -> None:
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, :100, 0] = 255
    tensor = pixel_values(rgb, 30)[0]
    assert np.allclose(tensor[0, :, :9], (1 - 0.485) / 0.229, atol=0.02)
    assert np.allclose(tensor[0, :, 12:], -0.485 / 0.229, atol=0.02)
    assert np.allclose(tensor[2], -0.406 / 0.225, atol=1e-5)


def scales(model: onnx.ModelProto) -> dict[str, float]:
    """Return every constant of a network by its name, those in nodes too."""
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return {name: float(value.item()) for name, value in found.items() if value.size == 1}


def export(file: Path, side: int, kind: int = TensorProto.FLOAT) -> Path:
    """Write a network that scales its input as four stages of channel attention at `side` do."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes, initializers, name = [], [], "x"
    for stage in range(4):
        block = f"/blocks.{stage}/blocks.{stage}.0/channel_block/channel_attn/fn"
        scale = numpy_helper.from_array(
            np.array(4 * 2**stage / side, dtype), f"{block}/Constant_6_output_0"
        )
        if stage % 2:
            nodes.append(helper.make_node("Constant", [], [scale.name], value=scale))
        else:
            initializers.append(scale)
        initializers.append(
            numpy_helper.from_array(np.array([2.0], dtype), f"{block}/Constant_9_output_0")
        )
        nodes.append(helper.make_node("Mul", [name, scale.name], [f"{block}/Mul_output_0"]))
        name = nodes[-1].output[0]
    other = np.array(4 / 224, dtype)  # the same number elsewhere
    initializers.append(numpy_helper.from_array(other, "/blocks.0/window_attn/Constant_output_0"))
    value = helper.make_tensor_value_info("x", kind, [1])
    graph = helper.make_graph(
        nodes, "v", [value], [helper.make_tensor_value_info(name, kind, [1])], initializers
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), file)
    return file


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_scales_of_an_export_at_224_pixels_are_set_for_768(tmp_path: Path, kind: int) -> None:
    file = export(tmp_path / "vision.onnx", 224, kind)
    before = scales(onnx.load(file))
    network = corrected(file)
    assert network is not None
    after = scales(onnx.load_model_from_string(network))
    for name, value in after.items():
        stage = int(name.split(".")[1][0])
        if name.endswith("channel_attn/fn/Constant_6_output_0"):
            assert value == pytest.approx(2**stage / 192, rel=1e-3)
        else:
            assert value == before[name]
    assert len(after) == 9
    assert corrected(export(tmp_path / "right.onnx", 768, kind)) is None


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    file = tmp_path / "vision.onnx"
    with pytest.raises(BadWeightsError, match=r"vision\.onnx"):
        corrected(file)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadWeightsError, match=r"vision\.onnx"):
        corrected(file)
