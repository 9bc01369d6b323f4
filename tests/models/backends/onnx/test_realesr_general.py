"""realesr-general-x4v3: the network made from torch files, its input, its colours, and no visible tiles."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.picture import Picture, Rgb
from models.backends.onnx.network import Array
from models.backends.onnx.realesr_general import MARGIN, RealEsrGeneral
from models.device import DeviceConfig
from models.errors import BadWeightsError
from tests.helpers.torch_files import compact_weights, save

Photo = Callable[[str], Picture]
State = Mapping[str, NDArray[np.float32]]


def files(folder: Path, general: State, weak: State) -> list[Path]:
    return [
        save(folder / "general.pth", {"params": general}),
        save(folder / "wdn.pth", {"params": weak}),
    ]


@pytest.fixture
def model(tmp_path: Path) -> RealEsrGeneral:
    return RealEsrGeneral(files(tmp_path, compact_weights(seed=0), compact_weights(seed=1)))


def by_hand(rgb: Rgb, state: State) -> NDArray[np.float64]:
    """Return the network's result, 4 times the size, 0..1, by the definition of its layers."""
    planes = rgb.transpose(2, 0, 1) / 255
    for number in range(7):
        weight = state[f"body.{number}.weight"]
        if weight.ndim == 1:
            planes = np.where(planes < 0, planes * weight[:, None, None], planes)
            continue
        padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
        shifted = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        planes = np.einsum("ihwyx,oiyx->ohw", shifted, weight)
        planes = planes + state[f"body.{number}.bias"][:, None, None]
    _, height, width = planes.shape
    blocks = planes.reshape(3, 4, 4, height, width).transpose(0, 3, 1, 4, 2)
    large = blocks.reshape(3, 4 * height, 4 * width).transpose(1, 2, 0)
    return large + rgb.repeat(4, axis=0).repeat(4, axis=1) / 255


@pytest.mark.parametrize("denoise", [0.0, 0.5, 1.0])
def test_the_network_is_that_of_the_files(tmp_path: Path, photo: Photo, denoise: float) -> None:
    general, weak = compact_weights(seed=0), compact_weights(seed=1)
    model = RealEsrGeneral(files(tmp_path, general, weak), denoise)
    rgb = photo("coffee").rgb[100:130, 200:240]
    state = {name: denoise * general[name] + (1 - denoise) * weak[name] for name in general}
    picture = np.ascontiguousarray((rgb.transpose(2, 0, 1)[None] / 255).astype(np.float32))
    output = model._network.output({"picture": picture}, (1, 3, 120, 160))
    assert np.allclose(output[0].transpose(1, 2, 0), by_hand(rgb, state), atol=1e-5)


def test_the_network_is_fed_rgb_of_0_to_1(
    model: RealEsrGeneral, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Mapping[str, Array]] = []
    run = model._network.output

    def watched(inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Any:
        seen.append(inputs)
        return run(inputs, shape)

    monkeypatch.setattr(model._network, "output", watched)
    rgb = photo("astronaut").rgb[100:160, 200:280]
    model.upscale(rgb, 4)
    (inputs,) = seen
    framed = np.pad(rgb, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    assert inputs["picture"].dtype == np.float32
    assert np.allclose(inputs["picture"][0], framed.transpose(2, 0, 1) / 255, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
def test_seams_between_tiles_do_not_show(tmp_path: Path, photo: Photo, factor: int) -> None:
    # 32 convolutions in the middle, as in the published file: the margin must cover their reach.
    state = compact_weights(features=4, convolutions=32, scale=0.25)
    paths = files(tmp_path, state, state)
    rgb = photo("coffee").rgb[60:190, 150:301]
    whole = RealEsrGeneral(paths, tile=1000).upscale(rgb, factor)
    tiled = RealEsrGeneral(paths, tile=48).upscale(rgb, factor)
    apart = np.abs(whole.astype(int) - tiled)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


@pytest.mark.parametrize("factor", [2, 4])
def test_wide_colours_stay_and_fine_detail_is_the_networks(
    model: RealEsrGeneral, photo: Photo, factor: int
) -> None:
    rgb = photo("chelsea").rgb[50:180, 100:250]
    ours = model.upscale(rgb, factor)  # random weights shift colours by tens of levels
    drift = ours.mean(axis=(0, 1)) - rgb.mean(axis=(0, 1))
    assert np.abs(drift).max() < 1.5


def test_blocks_that_the_network_removes_stay_away(tmp_path: Path) -> None:
    zero = {name: np.zeros_like(value) for name, value in compact_weights().items()}
    model = RealEsrGeneral(files(tmp_path, zero, zero))
    run = model._network.output

    def smoothing(inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Any:
        smooth = cv2.GaussianBlur(inputs["picture"][0].transpose(1, 2, 0), (0, 0), 8)
        return run({"picture": np.ascontiguousarray(smooth.transpose(2, 0, 1)[None])}, shape)

    model._network.output = smoothing  # type: ignore[method-assign]
    blocks = np.indices((96, 96)).sum(axis=0) // 8 % 2 * 6 + 120
    rgb = np.repeat(blocks[..., None], 3, axis=2).astype(np.uint8)
    inner = model.upscale(rgb, 4)[64:-64, 64:-64]
    assert np.ptp(inner) < 3, "six levels from block to block before"


def test_threads_and_concurrent_calls_give_the_same_pixels(tmp_path: Path, photo: Photo) -> None:
    state = compact_weights()
    paths = files(tmp_path, state, state)
    rgb = photo("chelsea").rgb[:100, :150]
    one = RealEsrGeneral(paths, tile=64).upscale(rgb, 2)
    assert np.array_equal(one, RealEsrGeneral(paths, tile=64, threads=3).upscale(rgb, 2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (65, 2)])
def test_any_size_is_enlarged(model: RealEsrGeneral, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for factor in (2, 4):
        assert model.upscale(rgb, factor).shape == (shape[0] * factor, shape[1] * factor, 3)


def test_an_unsupported_factor_is_refused(model: RealEsrGeneral) -> None:
    with pytest.raises(ValueError, match="factor 3"):
        model.upscale(np.zeros((8, 8, 3), np.uint8), 3)


def test_the_files_of_a_card_are_loaded(tmp_path: Path) -> None:
    state = compact_weights()
    model = RealEsrGeneral.load(files(tmp_path, state, state), DeviceConfig(threads=2), denoise=1.0)
    assert model.upscale(np.zeros((8, 8, 3), np.uint8), 2).shape == (16, 16, 3)


def test_files_of_two_architectures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWeightsError, match=r"wdn\.pth is of another architecture"):
        RealEsrGeneral(files(tmp_path, compact_weights(8), compact_weights(9)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"body.6.weight": None}, "body.6 is"),
        ({"body.2.bias": np.zeros(3, np.float32)}, "body.2 is"),
        ({"body.7.weight": np.zeros(48, np.float32)}, "no compact network"),
        ({"head.weight": np.zeros(48, np.float32)}, "head.weight is unknown"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    state = {**compact_weights(), **change}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(BadWeightsError, match=rf"general\.pth .*{text}"):
        RealEsrGeneral(files(tmp_path, state, state))
