"""MI-GAN: the bytes that the network is fed, and what is made of its result, on tiny files of its signature."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.picture import Picture
from models.backends.onnx.migan import MiGan
from models.backends.onnx.network import Array
from models.device import DeviceConfig
from models.errors import BadWeightsError
from tests.helpers.tiny_onnx import lama, migan

Photo = Callable[[str], Picture]


def test_the_network_is_fed_what_its_publisher_says(
    tmp_path: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = photo("astronaut").rgb
    hole = np.zeros((512, 512), np.bool_)
    hole[150:280, 300:420] = True
    model = MiGan(migan(tmp_path / "migan.onnx", "mean"))
    seen: list[Mapping[str, Array]] = []
    run = model._network.output

    def watched(inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Any:
        seen.append(inputs)
        return run(inputs, shape)

    monkeypatch.setattr(model._network, "output", watched)
    model.fill(rgb, hole)
    (inputs,) = seen
    picture = np.stack([rgb[..., channel] for channel in (0, 1, 2)])
    mask = np.full((512, 512), 255)
    mask[hole] = 0
    assert inputs["image"].dtype == inputs["mask"].dtype == np.uint8
    assert np.array_equal(inputs["image"][0][:, ~hole], picture[:, ~hole])
    filled = inputs["image"][0][:, hole]
    assert not np.array_equal(filled, picture[:, hole]), "nothing of the hole's old content"
    assert np.array_equal(inputs["image"][0][:, 150, 300], picture[:, 149, 300]), "the nearest"
    assert np.array_equal(inputs["mask"], mask[None, None])


def test_the_hole_is_where_the_mask_is_0(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 90, np.uint8)
    hole = np.zeros((512, 512), np.bool_)
    hole[150:350, 150:350] = True
    out = MiGan(migan(tmp_path / "migan.onnx", "mask")).fill(rgb, hole)
    assert (out[~hole] == 90).all()
    assert (out[180:320, 180:320] == 0).all()


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 90, np.uint8)
    hole = np.zeros((512, 512), np.bool_)
    hole[150:350, 150:350] = True
    out = MiGan(migan(tmp_path / "migan.onnx", "colour")).fill(rgb, hole)
    assert (out[180:320, 180:320] == (200, 100, 50)).all()


def test_a_fill_that_is_blended_with_the_picture_has_no_dark_outline(tmp_path: Path) -> None:
    rgb = np.full((512, 512, 3), 90, np.uint8)
    hole = np.zeros((512, 512), np.bool_)
    hole[150:350, 150:350] = True
    rgb[hole] = 0
    assert (MiGan(migan(tmp_path / "migan.onnx", "picture")).fill(rgb, hole) == 90).all()


def test_the_file_of_a_card_is_loaded(tmp_path: Path) -> None:
    migan(tmp_path / "migan.onnx", "mean")
    hole = np.zeros((30, 40), np.bool_)
    hole[10:20, 10:20] = True
    out = MiGan.load([tmp_path], DeviceConfig()).fill(np.full((30, 40, 3), 90, np.uint8), hole)
    assert (out == 90).all()


def test_another_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadWeightsError, match=r"other\.onnx takes image float32"):
        MiGan(lama(tmp_path / "other.onnx", "mean"))
