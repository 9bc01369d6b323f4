"""What matting networks are fed, and the matte made from what they return."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from imaging.picture import Picture
from models.backends.matting_input import MattingInput, opaque_deep_inside
from models.backends.onnx.matting import OnnxMatting
from models.device import DeviceConfig
from tests.helpers.tiny_onnx import FLOAT, write

Photo = Callable[[str], Picture]


def mean_of_channels(file: Path, side: int) -> Path:
    """Write a network with the signature of BiRefNet lite: `input_image` to logits `output_image`."""
    node = helper.make_node("ReduceMean", ["input_image"], ["output_image"], axes=[1])
    ports = [("input_image", FLOAT, (1, 3, side, side))]
    return write(file, [node], ports, ("output_image", FLOAT, (1, 1, side, side)))


def test_birefnet_lite_is_fed_what_its_publisher_says(
    tmp_path: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = photo("astronaut").rgb  # of the network's own size, so nothing is resized
    model = OnnxMatting.load([mean_of_channels(tmp_path / "net.onnx", 512)], DeviceConfig())
    seen: list[Any] = []

    class Session:
        """Records the inputs of the session inside."""

        def __init__(self, session: Any) -> None:
            self.run_inside = session.run

        def run(self, names: list[str], inputs: dict[str, Any], options: Any) -> Any:
            seen.append(inputs)
            return self.run_inside(names, inputs, options)

    monkeypatch.setattr(model, "_session", Session(model._session))
    alpha = model.matte(rgb)
    ((tensor,),) = (inputs.values() for inputs in seen)
    channels = [
        (rgb[..., 0] / 255 - 0.485) / 0.229,
        (rgb[..., 1] / 255 - 0.456) / 0.224,
        (rgb[..., 2] / 255 - 0.406) / 0.225,
    ]
    assert seen[0].keys() == {"input_image"}
    assert tensor.dtype == np.float32
    assert np.allclose(tensor, np.stack(channels)[None], atol=1e-5)
    sigmoid = 1 / (1 + np.exp(-np.mean(channels, axis=0)))
    assert np.allclose(alpha, 255 * sigmoid, atol=1)


def test_a_larger_picture_is_averaged_to_the_square() -> None:
    rgb = np.zeros((1024, 1536, 3), np.uint8)
    rgb[::2] = (200, 100, 50)
    tensor = MattingInput(512, (0, 0, 0), (1, 1, 1)).tensor(rgb)
    assert tensor.shape == (1, 3, 512, 512)
    assert np.allclose(tensor[0, :, 100, 100] * 255, (100, 50, 25))


def test_the_interior_is_solid_and_soft_edges_stay() -> None:
    matte = np.zeros((512, 512), np.float32)
    matte[100:400, 100:] = 0.7  # reaches the frame
    matte[100:400, 100:104] = 0.4
    solid = opaque_deep_inside(matte)
    assert (solid[120:380, 120:] == 1).all()
    assert np.array_equal(solid[100:400, :106], matte[100:400, :106])
    assert (solid >= matte).all()
    assert not solid[matte == 0].any()


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_an_even_matte_stays(level: float) -> None:
    matte = np.full((64, 64), level, np.float32)
    assert np.array_equal(opaque_deep_inside(matte), matte)


def test_small_parts_and_holes_stay() -> None:
    matte = np.full((512, 512), 0.8, np.float32)
    matte[::20] = 0.1  # a lattice: nothing is deep inside
    assert np.array_equal(opaque_deep_inside(matte), matte)


@pytest.mark.parametrize("solid", [False, True])
def test_a_doubtful_subject_is_opaque_inside_if_the_card_says_so(
    tmp_path: Path, solid: bool
) -> None:
    rgb = np.full((900, 1200, 3), 20, np.uint8)
    rgb[200:700, 300:900] = 200
    file = mean_of_channels(tmp_path / "net.onnx", 512)
    model = OnnxMatting.load([file], DeviceConfig(), solid=solid)
    alpha = model.matte(rgb)
    inner = alpha[300:600, 400:800]  # the network says 0.81 there, the sigmoid of 1.46
    assert (inner == 255).all() if solid else (inner < 255).all()
    assert (alpha[:150] < 60).all()
