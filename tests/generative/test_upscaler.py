"""Super-resolution with networks that spandrel knows: any size, without visible tiles."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN

from imaging.picture import Picture
from models.backends.even_tiles import even_grid
from models.backends.torch.upscaler import Upscaler
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny.upscaler import make_tiny, make_tiny_x2
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upscaler")
    make_tiny(folder)
    return folder / "tiny-x4.safetensors"


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (65, 2), (97, 131)])
def test_any_size_is_enlarged_and_the_input_is_not_modified(
    file: Path, shape: tuple[int, int], factor: int
) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    out = Upscaler(file, pixels=128 * 128).upscale(rgb, factor)
    assert out.shape == (shape[0] * factor, shape[1] * factor, 3)
    assert out.dtype == np.uint8
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("factor", [2, 4])
def test_tiles_give_the_same_result_as_one_pass(file: Path, photo: Photo, factor: int) -> None:
    rgb = np.ascontiguousarray(photo("coffee").rgb[60:190, 150:301])
    whole = Upscaler(file, pixels=1024 * 1024).upscale(rgb, factor)
    tiled = Upscaler(file, pixels=128 * 128).upscale(rgb, factor)
    apart = np.abs(whole.astype(int) - tiled)
    assert apart.max() <= 1, "a seam shows"
    assert (apart > 0).mean() < 1e-3, "more than rounding"


def shapes(model: Upscaler, scale: int = 4) -> list[tuple[int, ...]]:
    """Return a list that each call of a network of the model adds the shape of its input to."""
    seen: list[tuple[int, ...]] = []
    with model._networks[scale].module.on_device() as network:
        network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    return seen


def test_the_network_never_gets_more_than_it_may_and_tiles_of_one_size(
    file: Path, photo: Photo
) -> None:
    model = Upscaler(file, pixels=128 * 128)
    seen = shapes(model)
    model.upscale(photo("chelsea").rgb[:150, :200], 2)
    assert len({shape[2:] for shape in seen}) == 1
    assert all(number * height * width <= 128 * 128 for number, _, height, width in seen)


def test_tiles_go_in_batches(file: Path, photo: Photo) -> None:
    rgb = np.ascontiguousarray(photo("chelsea").rgb[:90, :200])
    one_by_one = Upscaler(file, pixels=128 * 128)
    together = Upscaler(file, pixels=128 * 128)
    seen = shapes(together)
    together._pixels = (
        4 * 128 * 128
    )  # a grid of the same tiles, as a picture of 4 times the size would have
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "models.backends.torch.upscaler.even_grid",
            lambda *size, pixels, **options: even_grid(*size, pixels=128 * 128, **options),
        )
        batched = together.upscale(rgb, 4)
    assert [shape[0] for shape in seen] == [4, 2]
    apart = np.abs(batched.astype(int) - one_by_one.upscale(rgb, 4))
    assert apart.max() <= 1, "a batch changes more than rounding"


def test_each_factor_has_its_own_network(tmp_path: Path, file: Path, photo: Photo) -> None:
    make_tiny_x2(tmp_path)
    twice = tmp_path / "tiny-x2.safetensors"
    both = Upscaler.load([tmp_path, file], DeviceConfig())
    rgb = np.ascontiguousarray(photo("coffee").rgb[60:130, 150:250])
    assert np.array_equal(both.upscale(rgb, 2), Upscaler(twice).upscale(rgb, 2))
    assert np.array_equal(both.upscale(rgb, 4), Upscaler(file).upscale(rgb, 4))
    assert not np.array_equal(both.upscale(rgb, 2), Upscaler(file).upscale(rgb, 2))
    with pytest.raises(BadWeightsError, match="another file enlarges 4 times too"):
        Upscaler(file, file)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_published_networks_class_shows_no_seam(
    tmp_path: Path, photo: Photo, scale: int
) -> None:
    torch.manual_seed(0)
    file = tmp_path / "rrdb.safetensors"
    shuffled = {"in_nc": 12, "scale": 4, "shuffle_factor": 2} if scale == 2 else {}
    network = ESRGAN(num_filters=8, num_blocks=2, **shuffled)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    rgb = np.ascontiguousarray(photo("coffee").rgb[60:190, 150:301])
    whole = Upscaler(file, pixels=1024 * 1024)
    tiled = Upscaler(file, pixels=128 * 128)
    assert set(whole._networks) == {scale}
    apart = np.abs(whole.upscale(rgb, scale).astype(int) - tiled.upscale(rgb, scale))
    assert apart.max() <= 1, "a seam shows"
    assert (apart > 0).mean() < 1e-3, "more than rounding"


def test_colours_stay_those_of_the_picture(file: Path, photo: Photo) -> None:
    rgb = np.ascontiguousarray(photo("astronaut").rgb[:64, :96])
    for factor in (2, 4):
        out = Upscaler(file).upscale(rgb, factor)
        back = cv2.resize(out, (96, 64), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(back - rgb).mean() < 6
        assert np.abs(back.mean((0, 1)) - rgb.mean((0, 1))).max() < 1.5


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_networks_of_other_scales_give_both_factors(tmp_path: Path, scale: int) -> None:
    torch.manual_seed(0)
    file = tmp_path / "net.safetensors"
    save_file(Compact(num_feat=4, num_conv=1, upscale=scale).state_dict(), file)
    model = Upscaler(file, pixels=128 * 128)
    rgb = np.random.default_rng(5).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert model.upscale(rgb, 2).shape == (18, 14, 3)
    assert model.upscale(rgb, 4).shape == (36, 28, 3)


def test_another_architecture_in_a_pth_file_is_enlarged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = tmp_path / "esrgan.pth"
    torch.save({"params_ema": ESRGAN(num_filters=8, num_blocks=1).state_dict()}, file)
    model = Upscaler(file, pixels=128 * 128)
    with model._networks[4].module.on_device() as network:
        assert not network.training
    assert model.upscale(np.zeros((10, 12, 3), np.uint8), 4).shape == (40, 48, 3)


def test_an_unsupported_factor_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="factor 3"):
        Upscaler(file).upscale(np.zeros((8, 8, 3), np.uint8), 3)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, file)
    with pytest.raises(
        BadWeightsError, match=r"other\.safetensors has an architecture that spandrel does not know"
    ):
        Upscaler(file)


@pytest.mark.parametrize("change", ["missing", "reshaped"])
def test_weights_that_do_not_fit_are_named(tmp_path: Path, file: Path, change: str) -> None:
    state = load_file(file)
    weight = state.pop("body.2.weight")
    if change == "reshaped":
        state["body.2.weight"] = weight[:, :3].contiguous()
    bad = tmp_path / "bad.safetensors"
    save_file(state, bad)
    with pytest.raises(BadWeightsError, match=r"bad\.safetensors does not fit"):
        Upscaler(bad)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Compact(num_feat=4, num_conv=1, upscale=1), "is not a network that enlarges"),
        (
            Compact(num_in_ch=1, num_out_ch=1, num_feat=4, num_conv=1),
            "does not take and return RGB",
        ),
    ],
)
def test_networks_for_other_tasks_are_refused(
    tmp_path: Path, network: torch.nn.Module, why: str
) -> None:
    file = tmp_path / "net.safetensors"
    save_file(network.state_dict(), file)
    with pytest.raises(BadWeightsError, match=why):
        Upscaler(file)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_used_only_on_gpus(file: Path, dtype: str) -> None:
    model = Upscaler(file, device_config=DeviceConfig(dtype=dtype))
    with model._networks[4].module.on_device() as network:
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}


def test_concurrent_calls_return_the_same_as_single_ones(file: Path, photo: Photo) -> None:
    model = Upscaler(file, pixels=128 * 128)
    crops = [photo(name).rgb[:50, :60] for name in ("astronaut", "coffee", "chelsea")] * 2
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(lambda crop: model.upscale(crop, 4)), crops))
    assert all(np.array_equal(a, model.upscale(b, 4)) for a, b in zip(together, crops, strict=True))
