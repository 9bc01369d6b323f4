"""MobileSAM on tiny networks of the published signature, which find what has the colour of the point."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from imaging.picture import Labels, Rgb
from models.backends.onnx.mobile_sam import (
    MobileSam,
    decoder_input,
    encoder_input,
    grid,
    resized,
)
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import CallerDisconnectedError

Float = NDArray[np.float32]


def constant(name: str, value: object, kind: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, kind), name)


def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(
    file: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> Path:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Write an encoder: input H x W x 3; normalised, padded to 1024 x 1024; 16 x 16 pixels become one.

    The first three of the 256 features are the colour.
    """
    node = helper.make_node
    nodes = [
        node("Sub", ["input_image", "mean"], ["centred"]),
        node("Div", ["centred", "deviation"], ["normal"]),
        node("Transpose", ["normal"], ["planes"], perm=[2, 0, 1]),
        node("Shape", ["planes"], ["shape"]),
        node("Sub", ["square", "shape"], ["missing"]),
        node("Concat", ["nothing", "missing"], ["pads"], axis=0),
        node("Pad", ["planes", "pads"], ["padded"]),
        node("Unsqueeze", ["padded", "first"], ["batch"]),
        node("AveragePool", ["batch"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        node("Conv", ["small", "kernel"], ["image_embeddings"]),
    ]
    constants = [
        constant("mean", [123.675, 116.28, 103.53]),
        constant("deviation", [58.395, 57.12, 57.375]),
        constant("square", [3, 1024, 1024], np.int64),
        constant("nothing", [0, 0, 0], np.int64),
        constant("first", [0], np.int64),
        constant("kernel", np.eye(256, 3)[..., None, None]),
    ]
    inputs = [value("input_image", "image_height", "image_width", 3)]
    return save(
        tmp_path / "mobile_sam_image_encoder.onnx",
        nodes,
        inputs,
        [value("image_embeddings", 1, 256, 64, 64)],
        constants,
    )


SCORES = ((0.99, 0.95, 0.5, 0.6),)
"""Only the second of the four masks is sure. The first has the highest score, but it is for several points."""


def decoder_nodes() -> list[onnx.NodeProto]:
    """Return the nodes of the decoder: the second mask is what has the colour at the point."""
    node = helper.make_node
    return [
        node("Slice", ["image_embeddings", "zero", "three", "one"], ["colours"]),
        node("Reshape", ["colours", "flat"], ["table"]),
        # The column and the row of the first point in the 64 x 64 features.
        node("Slice", ["point_coords", "zero", "one", "one"], ["point"]),
        node("Div", ["point", "sixteen"], ["exact"]),
        node("Floor", ["exact"], ["whole"]),
        node("Mul", ["whole", "weights"], ["weighted"]),
        node("ReduceSum", ["weighted"], ["sum"], keepdims=0),
        node("Cast", ["sum"], ["index"], to=TensorProto.INT64),
        node("Gather", ["table", "index"], ["colour"], axis=1),
        node("Reshape", ["colour", "as_colour"], ["wanted"]),
        node("Sub", ["colours", "wanted"], ["difference"]),
        node("Abs", ["difference"], ["distance"]),
        node("ReduceSum", ["distance", "one"], ["total"]),
        node("Sub", ["half", "total"], ["near"]),
        node("Mul", ["near", "forty"], ["mask"]),
        node("Mul", ["mask", "nought"], ["empty"]),
        node("Add", ["empty", "half"], ["everything"]),
        node("Concat", ["everything", "mask", "mask", "mask"], ["four"], axis=1),
        node("Resize", ["four", "", "scales"], ["low_res_masks"], mode="nearest"),
        # Every input is used, as in the published file.
        node("ReduceSum", ["mask_input"], ["prior"], keepdims=0),
        node("Mul", ["prior", "has_mask_input"], ["used"]),
        node("ReduceSum", ["point_labels"], ["labels"], keepdims=0),
        node("Mul", ["labels", "used"], ["both"]),
        node("Add", ["scores", "both"], ["iou_predictions"]),
        node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        node("Concat", ["start", "size"], ["sizes"], axis=0),
        node("Resize", ["low_res_masks", "", "", "sizes"], ["masks"], mode="linear"),
    ]


def decoder_constants() -> list[onnx.TensorProto]:
    return [
        *(constant(name, [number], np.int64) for name, number in (("zero", 0), ("one", 1))),
        constant("three", [3], np.int64),
        constant("flat", [3, 4096], np.int64),
        constant("as_colour", [1, 3, 1, 1], np.int64),
        constant("start", [1, 4], np.int64),
        constant("sixteen", 16),
        constant("weights", [[[1, 64]]]),
        *(constant(name, number) for name, number in (("half", 0.5), ("forty", 40), ("nought", 0))),
        constant("scales", [1, 1, 4, 4]),
        constant("scores", SCORES),
    ]


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """Write a decoder of the published signature; of its four masks the first is everything."""
    inputs = [
        value("image_embeddings", 1, 256, 64, 64),
        value("point_coords", 1, "num_points", 2),
        value("point_labels", 1, "num_points"),
        value("mask_input", 1, 1, 256, 256),
        value("has_mask_input", 1),
        value("orig_im_size", 2),
    ]
    outputs = [
        value("masks", 1, 4, "height", "width"),
        value("iou_predictions", 1, 4),
        value("low_res_masks", 1, 4, 256, 256),
    ]
    return save(
        tmp_path / "sam_mask_decoder_multi.onnx",
        decoder_nodes(),
        inputs,
        outputs,
        decoder_constants(),
    )


def shapes(width: int = 600, height: int = 400) -> tuple[Rgb, Labels]:
    """Return a picture of a box and a disc on a ground, and its true labels by area."""
    truth = np.ones((height, width), np.uint8)
    truth[height // 10 : height // 2, width // 2 : 9 * width // 10] = 2
    cv2.circle(truth, (width // 4, 7 * height // 10), height // 5, 3, -1)
    colours = np.array([[0, 0, 0], [90, 120, 90], [200, 40, 40], [30, 60, 220]], np.uint8)
    return colours[truth], truth


@pytest.mark.parametrize("size", [(600, 400), (400, 600), (2400, 1600), (64, 64), (1000, 300)])
def test_each_shape_is_a_part(encoder: Path, decoder: Path, size: tuple[int, int]) -> None:
    rgb, truth = shapes(*size)
    before = rgb.copy()
    labels = MobileSam(encoder, decoder).segment(rgb)
    assert labels.dtype == np.uint8
    for number in (1, 2, 3):  # a point on an edge gives a mask of its mixed colour too
        true = truth == number
        found = labels == np.bincount(labels[true]).argmax()
        assert (found & true).sum() / (found | true).sum() > 0.8
    assert np.array_equal(rgb, before)


def test_the_encoder_gets_the_published_input() -> None:
    """The longer side becomes 1024 by a triangle filter as wide as a pixel of the result."""
    rgb = np.random.default_rng(2).integers(0, 256, (1500, 2250, 3)).astype(np.uint8)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 2).astype(np.uint8)
    found = encoder_input(rgb)
    assert found.dtype == np.float32
    assert found.shape == (683, 1024, 3)
    scale = 2250 / 1024

    def weights(source: int, target: int) -> Float:
        factor = source / target
        centres = (np.arange(target)[:, None] + 0.5) * factor
        shares = np.maximum(0, 1 - abs(np.arange(source) + 0.5 - centres) / factor)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)

    assert weights(2250, 1024).shape == (1024, round(1024 * scale))
    expected = np.einsum(
        "ry,yxc,kx->rkc",
        weights(1500, 683),
        rgb.astype(np.float32),
        weights(2250, 1024),
        optimize=True,
    )
    assert np.abs(found - expected).max() <= 1.01


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2250, 1500), (1024, 683)), ((100, 50), (1024, 512)), ((3, 4000), (1, 1024))],
)
def test_the_longer_side_is_1024(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized(*size) == expected


def test_a_point_comes_with_a_padding_point_and_no_earlier_mask() -> None:
    features = np.ones((1, 256, 64, 64), np.float32)
    given = decoder_input(features, (300.5, 20.25))
    assert given["image_embeddings"] is features
    assert given["point_coords"].tolist() == [[[300.5, 20.25], [0, 0]]]
    assert given["point_labels"].tolist() == [[1, -1]]
    assert given["mask_input"].shape == (1, 1, 256, 256)
    assert not given["mask_input"].any()
    assert given["has_mask_input"].tolist() == [0]
    assert all(array.dtype == np.float32 for array in given.values())


def test_the_grid_has_each_cell_once_coarse_first() -> None:
    rounds = grid(16, (1024, 512))
    assert [len(places) for places in rounds] == [64, 64, 128]
    together = sorted(place for places in rounds for place in places)
    assert together == [(32 + 64.0 * x, 16 + 32.0 * y) for x in range(16) for y in range(16)]
    assert rounds[0][0] == (32, 16)
    assert rounds[0][1] == (160, 16)


class Counting:
    """A decoder session that counts its calls."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self.session, self.points = session, list[list[float]]()

    def run(self, names: list[str], inputs: dict[str, Float]) -> list[Float]:
        self.points.append(inputs["point_coords"][0, 0].tolist())
        outputs: list[Float] = self.session.run(names, inputs)
        return outputs


def test_points_in_small_masks_are_not_tried_again(encoder: Path, decoder: Path) -> None:
    rgb = np.full((1024, 1024, 3), (90, 120, 90), np.uint8)
    rgb[160:224, 160:352] = (
        200,
        40,
        40,
    )  # the middle of two cells of the grid, of which the first is coarse
    model = MobileSam(encoder, decoder)
    model._decoder = counting = Counting(model._decoder)
    labels = model.segment(rgb)
    assert labels[190, 190] == 2
    assert len(counting.points) < 256
    inside = [place for place in counting.points if 160 <= place[0] < 352 and 160 <= place[1] < 224]
    assert len(inside) < 3


def test_unsure_masks_are_left_out(encoder: Path, decoder: Path) -> None:
    rgb, _ = shapes()
    assert MobileSam(encoder, decoder, thresholds=(0.96, 0.95)).segment(rgb).max() == 0
    assert MobileSam(encoder, decoder, thresholds=(0.88, 1.01)).segment(rgb).max() == 0


def test_the_same_picture_has_the_same_parts_with_any_number_of_threads(
    encoder: Path, decoder: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (12, 16))
    rgb = np.kron(
        np.array([[90, 120, 90], [200, 40, 40], [30, 60, 220]])[noise], np.ones((40, 40, 1))
    )
    model = MobileSam(encoder, decoder)
    first = model.segment(rgb.astype(np.uint8))
    model._processors = 1
    assert np.array_equal(first, model.segment(rgb.astype(np.uint8)))


def test_work_stops_when_nobody_waits(encoder: Path, decoder: Path) -> None:
    model = MobileSam(encoder, decoder)
    with deadline_scope(Deadline()) as deadline:
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            model.segment(shapes()[0])


def test_load_takes_the_encoder_then_the_decoder(encoder: Path, decoder: Path) -> None:
    model = MobileSam.load([encoder, decoder], DeviceConfig(), points=4)
    assert model.segment(shapes()[0]).max() >= 2
    with pytest.raises(ValueError, match=r"sam_mask_decoder_multi\.onnx is no file of MobileSAM"):
        MobileSam.load([decoder, encoder], DeviceConfig())


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_cannot_be_read_is_named(encoder: Path, decoder: Path, content: bytes) -> None:
    whole = decoder.read_bytes()
    decoder.write_bytes(content)
    with pytest.raises(ValueError, match=r"sam_mask_decoder_multi\.onnx"):
        MobileSam(encoder, decoder)
    decoder.write_bytes(whole)
    encoder.write_bytes(content)
    with pytest.raises(ValueError, match=r"mobile_sam_image_encoder\.onnx cannot be loaded"):
        MobileSam(encoder, decoder)
