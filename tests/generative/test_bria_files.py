"""Strict loading of BRIA's repositories: pickles of tensors, unusual file names, what is missing or too much."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file, save_file

from models.backends.diffusion.bria import BriaErase, BriaExpand
from models.backends.diffusion.bria_base import FUSED, load_controlnet
from models.errors import BadWeightsError
from models.tiny.bria import PICKLE, make_repositories
from tests.helpers.tiny_bria import CPU, load_expand, load_fill, load_scene, noise, square

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
ADAPTER = "prompt/models/ip_adapter_bria.bin"
FILES = (
    f"control/{PICKLE}",
    f"erase/{FUSED}/unet/diffusion_pytorch_model.safetensors",
    "erase/vae/diffusion_pytorch_model.safetensors",
    "slow/unet/diffusion_pytorch_model.safetensors",
    "prompt/models/image_encoder/model.safetensors",
    ADAPTER,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bria")
    make_repositories(folder)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """Copies of the repositories that a test may damage."""
    shutil.copytree(folder, tmp_path / "bria")
    return tmp_path / "bria"


def edited(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the tensors of a file."""
    if file.suffix == ".bin":
        weights = torch.load(file, weights_only=True)
        edit(weights.get("ip_adapter", weights))
        torch.save(weights, file)
    else:
        weights = load_file(file)
        edit(weights)
        save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_missing_weight_is_named(copied: Path, name: str) -> None:
    edited(copied / name, lambda weights: weights.pop(min(weights)))
    with pytest.raises(BadWeightsError, match=(copied / name).name):
        load_scene(copied, "prompt")


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_an_unknown_weight_is_named(copied: Path, name: str) -> None:
    edited(copied / name, lambda weights: weights.update(other=torch.zeros(1)))
    with pytest.raises(BadWeightsError, match=(copied / name).name):
        load_scene(copied, "prompt")


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_weight_of_another_shape_is_named(copied: Path, name: str) -> None:
    def widen(weights: dict[str, Any]) -> None:
        key = min(weights)
        weights[key] = torch.zeros(*weights[key].shape, 2)

    edited(copied / name, widen)
    with pytest.raises(BadWeightsError, match=(copied / name).name):
        load_scene(copied, "prompt")


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(copied: Path, name: str) -> None:
    file = copied / name
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(BadWeightsError, match=file.name):
        load_scene(copied, "prompt")


class Code:
    """Writes a file when it is unpickled by a loader that runs what it is told to."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("name", [f"control/{PICKLE}", ADAPTER])
def test_code_in_a_pickle_does_not_run(copied: Path, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "ran"
    weights = torch.load(copied / name, weights_only=True)
    torch.save({**weights, "more": Code(mark)}, copied / name)
    with pytest.raises(BadWeightsError, match=(copied / name).name):
        load_scene(copied, "prompt")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Code(mark)))
    assert mark.exists()


def test_the_eraser_runs_no_other_script_than_the_published_lama(folder: Path) -> None:
    with pytest.raises(BadWeightsError, match=r"tiny-lama.pt is a TorchScript archive"):
        BriaErase.load([folder / "erase", folder / "erase", folder / "lama"], CPU)


@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.safetensors", "generative_fill_controlnet_2_3.safetensors"]
)
def test_the_same_weights_as_safetensors_give_the_same_picture(copied: Path, name: str) -> None:
    def drawn() -> Any:
        return load_fill(copied).fill_by_prompt(noise(), square(), "a dog", "", [1])[0]

    before = drawn()
    pickled = copied / "control" / PICKLE
    weights = torch.load(pickled, weights_only=True)
    save_file(weights, pickled.with_name(name), metadata={"format": "pt"})
    pickled.unlink()
    assert np.array_equal(drawn(), before)


def test_a_folder_without_one_file_of_weights_is_named(copied: Path) -> None:
    (copied / "control" / PICKLE).unlink()
    with pytest.raises(BadWeightsError, match=r"control: contains no .* 0 other"):
        load_fill(copied)


def test_a_safetensors_adapter_gives_the_same_picture(copied: Path) -> None:
    def drawn() -> Any:
        model = load_scene(copied, "prompt")
        return model.scenes(noise(), square() * np.float32(1), "", "", [1], reference=noise(2))[0]

    before = drawn()
    parts = torch.load(copied / ADAPTER, weights_only=True)
    flat = {f"{part}.{name}": one for part in parts for name, one in parts[part].items()}
    save_file(flat, (copied / ADAPTER).with_suffix(".safetensors"))
    (copied / ADAPTER).unlink()
    assert np.array_equal(drawn(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_pickled_controlnet_has_the_wanted_precision(folder: Path, dtype: torch.dtype) -> None:
    network = load_controlnet(folder / "control", dtype)
    assert {tensor.dtype for tensor in network.parameters()} == {dtype}
    assert not network.training


def test_a_controlnet_that_reads_pictures_is_refused(copied: Path) -> None:
    kind: Any = ControlNetModel
    config = kind.load_config(copied / "control")
    kind.from_config({**config, "conditioning_channels": 3}).save_pretrained(copied / "control")
    with pytest.raises(BadWeightsError, match="3 channels"):
        load_fill(copied)


def test_the_control_image_is_not_reduced_as_diffusers_does(folder: Path) -> None:
    embedding = load_controlnet(folder / "control", torch.float32).controlnet_cond_embedding
    assert embedding(torch.zeros(1, 5, 8, 8)).shape[-2:] == (8, 8)


def test_the_vae_beside_the_base_is_used(copied: Path) -> None:
    def mean() -> float:
        return float(load_fill(copied).fill_by_prompt(noise(), square(), "", "", [1])[0].mean())

    before = mean()

    def brighten(weights: dict[str, Any]) -> None:
        weights["decoder.conv_out.bias"] += 0.5

    edited(copied / "erase/vae/diffusion_pytorch_model.safetensors", brighten)
    shutil.move(copied / "erase", copied / "brighter")
    (copied / "erase").symlink_to(copied / "brighter")
    assert mean() > before + 30


def test_expansion_takes_the_controlnet_that_is_not_the_erasers(copied: Path) -> None:
    expansion, eraser = copied / "expansion", copied / "erase" / "controlnet_xl_eraser"

    def drawn() -> Any:
        return load_expand(copied).outpaint(noise(), ~square(), "", "", 1)

    first = drawn()
    shutil.copytree(eraser, expansion / eraser.name)
    assert np.array_equal(drawn(), first)
    shutil.rmtree(expansion / "controlnet_expansion")
    assert not np.array_equal(drawn(), first)


@pytest.mark.parametrize("names", [(), ("controlnet_a", "controlnet_b")])
def test_expansion_without_one_controlnet_names_those_there_are(
    folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        shutil.copytree(folder / "control", tmp_path / name)
    with pytest.raises(BadWeightsError, match=", ".join(names) or "none"):
        BriaExpand.load([folder / "erase", tmp_path], CPU)


def test_tiny_repositories_are_small_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    make_repositories(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.suffix in (".safetensors", ".bin")]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    for file in files:
        other = folder / file.relative_to(tmp_path)
        if file.suffix == ".bin":
            one, same = (torch.load(place, weights_only=True) for place in (file, other))
            assert _flat(one).keys() == _flat(same).keys()
            assert all(torch.equal(one, _flat(same)[name]) for name, one in _flat(one).items())
        else:
            assert file.read_bytes() == other.read_bytes()


def _flat(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        inner = {"": value} if isinstance(value, torch.Tensor) else value
        found |= {f"{name}.{key}": tensor for key, tensor in inner.items()}
    return found
