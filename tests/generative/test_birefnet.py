"""Matting with a network whose code is in the folder of its weights."""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imaging.picture import Picture
from models.backends.matting_input import MattingInput, to_full_size
from models.backends.torch.birefnet import BiRefNet
from models.device import DeviceConfig
from models.errors import BadWeightsError, RemoteCodeError
from models.tiny.birefnet import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]


@pytest.fixture(autouse=True)
def _modules_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a separate cache of transformers for copies of remote code."""
    cache = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    # An earlier cache on the path would be used for the package that contains all remote code.
    others = [path for path in sys.path if not (Path(path) / "transformers_modules").is_dir()]
    monkeypatch.setattr("sys.path", others)
    _forget_remote_code()
    yield
    _forget_remote_code()


def _forget_remote_code() -> None:
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    make_tiny(folder)
    return folder


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (64, 64), (90, 40), (300, 420)])
def test_a_matte_has_the_size_of_the_picture(tiny: Path, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    alpha = BiRefNet(tiny, allow_remote_code=True).matte(rgb)
    assert alpha.shape == shape
    assert alpha.dtype == np.uint8
    assert np.array_equal(rgb, before)


def test_the_matte_is_the_sigmoid_of_the_last_output(tiny: Path, photo: Photo) -> None:
    rgb = np.asarray(cv2.resize(photo("chelsea").rgb, (64, 64)))
    network = BiRefNet(tiny, allow_remote_code=True)
    pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with network._module.on_device() as layers:
        outputs = layers((pixels - mean[:, None, None]) / std[:, None, None])
    assert len(outputs) == 2
    expected = outputs[-1].sigmoid()[0, 0].numpy()
    assert np.abs(network.matte(rgb) - 255 * expected).max() < 0.51


def test_remote_code_is_not_run_unless_allowed(tiny: Path, tmp_path: Path) -> None:
    code = tiny / "tiny_matting.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + code.read_text())
    with pytest.raises(RemoteCodeError, match="code of its own"):
        BiRefNet(tiny)
    assert not (tmp_path / "ran").exists()
    BiRefNet(tiny, allow_remote_code=True)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "reference", ["someone/else--tiny_matting.TinyMatting", "../tiny_matting.TinyMatting", "Tiny"]
)
def test_code_from_another_folder_is_refused(tiny: Path, reference: str) -> None:
    config = json.loads((tiny / "config.json").read_text())
    edit(
        tiny / "config.json",
        auto_map={**config["auto_map"], "AutoModelForImageSegmentation": reference},
    )
    with pytest.raises(
        BadWeightsError, match=r"config\.json names .* no class of a file in the same folder"
    ):
        BiRefNet(tiny, allow_remote_code=True)


def test_code_may_be_in_several_files(tiny: Path) -> None:
    code = tiny / "tiny_matting.py"
    (tiny / "network.py").write_text(code.read_text())
    code.write_text("from .network import TinyMatting, TinyMattingConfig\n")
    assert BiRefNet(tiny, allow_remote_code=True).matte(np.zeros((8, 8, 3), np.uint8)).any()


def test_two_folders_of_one_name_use_their_own_code(tmp_path: Path) -> None:
    mattes = []
    for parent, sign in (("one", ""), ("two", "-")):
        folder = tmp_path / parent / "model"
        make_tiny(folder)
        code = folder / "tiny_matting.py"
        code.write_text(
            code.read_text().replace("self.fine(features)]", f"{sign}self.fine(features)]")
        )
        mattes.append(
            BiRefNet(folder, allow_remote_code=True).matte(np.zeros((64, 64, 3), np.uint8))
        )
    assert np.abs(mattes[0].astype(int) + mattes[1] - 255).max() <= 1


@pytest.mark.parametrize("file", ["config.json", "tiny_matting.py", "model.safetensors"])
def test_a_missing_file_is_named(tiny: Path, file: str) -> None:
    (tiny / file).unlink()
    with pytest.raises(BadWeightsError, match=file.replace(".", r"\.")):
        BiRefNet(tiny, allow_remote_code=True)


def test_code_that_fails_is_reported_with_its_folder(tiny: Path) -> None:
    (tiny / "tiny_matting.py").write_text("raise OverflowError('too much')\n")
    with pytest.raises(BadWeightsError, match="tiny fails: too much"):
        BiRefNet(tiny, allow_remote_code=True)


@pytest.mark.parametrize("change", ["missing", "reshaped"])
def test_weights_that_do_not_fit_are_never_replaced_by_random_ones(tiny: Path, change: str) -> None:
    file = tiny / "model.safetensors"
    state = load_file(file)
    weight = state.pop("coarse.weight")
    if change == "reshaped":
        state["coarse.weight"] = torch.zeros(*weight.shape, 2)
    save_file(state, file)
    with pytest.raises(BadWeightsError, match=r"model\.safetensors does not fit: coarse\.weight"):
        BiRefNet(tiny, allow_remote_code=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_stay_float32_and_in_evaluation_mode(tiny: Path, dtype: str) -> None:
    file = tiny / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(file).items()
               if value.is_floating_point()}
              | {name: value for name, value in load_file(file).items()
                 if not value.is_floating_point()}, file)  # fmt: skip
    network = BiRefNet(tiny, DeviceConfig(dtype=dtype), allow_remote_code=True)
    with network._module.on_device() as layers:
        assert {weight.dtype for weight in layers.parameters()} == {torch.float32}
        assert not any(layer.training for layer in layers.modules())


def test_the_side_is_that_of_the_preprocessor_by_default(tiny: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    small, large = (BiRefNet(tiny, allow_remote_code=True, side=side) for side in (None, 96))
    assert not np.array_equal(small.matte(rgb), large.matte(rgb))
    with pytest.raises(ValueError, match="side 100 is not a multiple of 32"):
        BiRefNet(tiny, allow_remote_code=True, side=100)


def test_concurrent_calls_return_the_same_as_single_ones(tiny: Path, photo: Photo) -> None:
    network = BiRefNet(tiny, allow_remote_code=True)
    pictures = [photo(name).rgb[:200, :200] for name in ("astronaut", "coffee", "chelsea")] * 2
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(network.matte), pictures))
    assert all(map(np.array_equal, together, map(network.matte, pictures)))


def test_the_tiny_network_is_the_same_each_time(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    for name in ("a", "b"):
        make_tiny(tmp_path / name)
    assert torch.equal(torch.rand(1), expected), "the global random generator has changed"
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_small_pictures_get_the_matte_of_the_network() -> None:
    matte = np.random.default_rng(0).random((64, 64), np.float32)
    rgb = np.zeros((64, 64, 3), np.uint8)
    assert np.array_equal(to_full_size(rgb, matte), np.rint(255 * matte))


def test_a_picture_is_resized_and_normalised() -> None:
    tensor = MattingInput(64, (0.5, 0.5, 0.5), (1.0, 2.0, 0.5)).tensor(
        np.full((10, 90, 3), (255, 0, 255), np.uint8)
    )
    assert tensor.shape == (1, 3, 64, 64)
    assert tensor.dtype == np.float32
    assert tensor[0, :, 5, 5] == pytest.approx([0.5, -0.25, 1.0])
