"""LaMa in ONNX: what the network is fed, and what is made of its result, on tiny files of its signature."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.picture import Mask, Picture
from models.backends.onnx.lama import OnnxLama
from models.backends.onnx.network import Array
from models.device import DeviceConfig
from models.errors import BadWeightsError
from tests.helpers.tiny_onnx import lama

Photo = Callable[[str], Picture]


def holed(shape: tuple[int, ...], *boxes: tuple[int, int, int, int]) -> Mask:
    hole = np.zeros(shape[:2], np.bool_)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def recorded(model: OnnxLama) -> list[Mapping[str, Array]]:
    """Return a list that gets the inputs of every run of the model's network."""
    seen: list[Mapping[str, Array]] = []
    run = model._network.output

    def watched(inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Any:
        seen.append(inputs)
        return run(inputs, shape)

    model._network.output = watched  # type: ignore[method-assign]
    return seen


def test_the_network_is_fed_what_its_publisher_says(tmp_path: Path, photo: Photo) -> None:
    rgb = photo("astronaut").rgb  # of the network's own size, so nothing is resized
    hole = holed(rgb.shape, (150, 280, 300, 420))
    model = OnnxLama(lama(tmp_path / "lama.onnx", "mean"))
    seen = recorded(model)
    model.fill(rgb, hole)
    (inputs,) = seen
    picture = np.stack([rgb[..., channel] / 255 for channel in (0, 1, 2)])
    picture[:, hole] = 0
    assert inputs["image"].dtype == inputs["mask"].dtype == np.float32
    assert np.allclose(inputs["image"], picture[None], atol=1e-6)
    assert np.array_equal(inputs["mask"], hole[None, None].astype(np.float32))


def test_a_larger_crop_is_reduced_to_the_square(tmp_path: Path) -> None:
    rgb = np.zeros((1024, 1024, 3), np.uint8)
    rgb[::2] = (200, 100, 50)
    hole = holed(rgb.shape, (200, 824, 200, 824))
    model = OnnxLama(lama(tmp_path / "lama.onnx", "mean"))
    seen = recorded(model)
    model.fill(rgb, hole)
    (inputs,) = seen
    assert inputs["image"].shape == (1, 3, 512, 512)
    assert np.allclose(inputs["image"][0, :, :80].mean(axis=(1, 2)) * 255, (100, 50, 25), atol=1)
    assert 320**2 <= inputs["mask"].sum() <= 323**2, "a crop of 998 pixels, all touched pixels"


def test_the_hole_is_where_the_mask_is_one(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 90, np.uint8)
    hole = holed(rgb.shape, (150, 350, 150, 350))
    out = OnnxLama(lama(tmp_path / "lama.onnx", "mask")).fill(rgb, hole)
    assert (out[~hole] == 90).all()
    assert (out[180:320, 180:320] == 255).all()


def test_colours_are_red_green_blue_of_0_to_255(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 90, np.uint8)
    hole = holed(rgb.shape, (150, 350, 150, 350))
    out = OnnxLama(lama(tmp_path / "lama.onnx", "colour")).fill(rgb, hole)
    assert (out[180:320, 180:320] == (200, 100, 50)).all()


def test_a_file_that_returns_0_to_1_is_an_error(tmp_path: Path) -> None:
    model = OnnxLama(lama(tmp_path / "lama.onnx", "unit"))
    hole = holed((64, 64), (20, 40, 20, 40))
    with pytest.raises(BadWeightsError, match=r"lama\.onnx returns a picture of at most 0\.35"):
        model.fill(np.full((64, 64, 3), 90, np.uint8), hole)
    assert (model.fill(np.zeros((64, 64, 3), np.uint8), hole) == 0).all(), "black tells nothing"


@pytest.mark.parametrize("batch", [1, "batch"])
def test_the_file_of_a_card_is_loaded(tmp_path: Path, batch: int | str) -> None:
    lama(tmp_path / "lama.onnx", "mean", batch=batch)
    model = OnnxLama.load([tmp_path], DeviceConfig())
    out = model.fill(np.full((30, 40, 3), 90, np.uint8), holed((30, 40), (10, 20, 10, 20)))
    assert out.shape == (30, 40, 3)


def test_another_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadWeightsError, match=r"other\.onnx takes image .*256, 256\], .*not image"):
        OnnxLama(lama(tmp_path / "other.onnx", "mean", side=256))


@pytest.mark.parametrize("content", [None, b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_an_invalid_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "net.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadWeightsError, match=r"net\.onnx cannot be loaded"):
        OnnxLama(file)
