"""Matting networks in ONNX: their input, and the matte made from their output."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imaging.picture import Picture
from models.backends.matting_input import MattingInput
from models.backends.onnx.matting import OnnxMatting
from models.backends.onnx.u2net import U2Net
from models.device import DeviceConfig
from models.roles import MATTING
from models.runtime.pool import Pool
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]
FLOAT, HALF, INT = 1, 10, 6  # of ONNX's TensorProto.DataType


def number(value: int) -> bytes:
    """Encode a protocol buffer's varint."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(tag: int, value: int | str | bytes) -> bytes:
    """Encode one field of a protocol buffer."""
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    content = value.encode() if isinstance(value, str) else value
    return number(tag << 3 | 2) + number(len(content)) + content


def tensor(name: str, kind: int, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(
        field(1, field(1, side) if isinstance(side, int) else field(2, side)) for side in shape
    )
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def network(file: Path, side: int | str = 64, kind: int = FLOAT, channels: int = 3) -> Path:
    """Write a network whose matte is the mean of the three channels."""
    axes = field(1, "axes") + field(8, 1) + field(20, 7)
    node = field(1, "x") + field(2, "y") + field(4, "ReduceMean") + field(5, axes)
    graph = field(1, node) + field(2, "mean")
    graph += field(11, tensor("x", kind, (1, channels, side, side)))
    graph += field(12, tensor("y", kind, (1, 1, side, side)))
    file.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return file


@pytest.mark.parametrize("kind", [FLOAT, HALF])
@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (40, 90), (200, 300)])
def test_a_matte_has_the_size_of_the_picture(
    tmp_path: Path, shape: tuple[int, int], kind: int
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    alpha = OnnxMatting(network(tmp_path / "net.onnx", kind=kind)).matte(rgb)
    assert alpha.shape == shape
    assert alpha.dtype == np.uint8
    assert np.array_equal(rgb, before)


def test_logits_go_through_the_sigmoid_and_mattes_do_not(tmp_path: Path) -> None:
    file = network(tmp_path / "net.onnx")
    given = MattingInput(64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    white = np.full((64, 64, 3), 255, np.uint8)
    assert (OnnxMatting(file, input_format=given, logits=False).matte(white) == 255).all()
    assert (
        OnnxMatting(file, input_format=given).matte(white) == round(255 / (1 + np.exp(-1)))
    ).all()


def test_a_side_fixed_in_the_file_overrides_the_given_side(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    fixed = OnnxMatting(network(tmp_path / "a.onnx", 96), input_format=MattingInput(64)).matte(rgb)
    free = network(tmp_path / "b.onnx", "side")
    assert np.array_equal(OnnxMatting(free, input_format=MattingInput(96)).matte(rgb), fixed)
    assert not np.array_equal(OnnxMatting(free, input_format=MattingInput(64)).matte(rgb), fixed)


def test_a_published_network_finds_the_subject(lite: Pool, weights_dir: Path, photo: Photo) -> None:
    with lite.use(MATTING):
        pass  # fetches the weights
    rgb = photo("astronaut").rgb
    file = weights_dir / "u2netp.onnx"
    alpha = OnnxMatting(file, logits=False).matte(rgb)
    reference = U2Net(file).matte(rgb)
    both = (alpha > 127) & (reference > 127)
    assert both.sum() / ((alpha > 127) | (reference > 127)).sum() > 0.9


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_an_invalid_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "net.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.onnx cannot be loaded"):
        OnnxMatting(file)


def test_a_network_without_a_picture_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"net\.onnx takes .*, which is no picture"):
        OnnxMatting(network(tmp_path / "net.onnx", kind=INT))
    with pytest.raises(ValueError, match=r"net\.onnx takes .*, which is no picture"):
        OnnxMatting(network(tmp_path / "net.onnx", channels=4))


def test_a_missing_gpu_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no CUDA"):
        OnnxMatting(network(tmp_path / "net.onnx"), DeviceConfig(device="cuda:0"))


def test_concurrent_calls_return_the_same_as_single_ones(tmp_path: Path, photo: Photo) -> None:
    model = OnnxMatting(network(tmp_path / "net.onnx"))
    pictures = [photo(name).rgb for name in ("astronaut", "coffee", "chelsea")] * 2
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(model.matte), pictures))
    assert all(map(np.array_equal, together, map(model.matte, pictures)))
