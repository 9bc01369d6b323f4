"""Inpainting with LaMa: only the hole changes, in a crop of limited size."""

import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.LaMa import LaMa as LamaNetwork

from imaging.picture import Mask, Picture, Rgb
from models.backends.torch import lama
from models.backends.torch.lama import PUBLISHED_SCRIPT, Lama, TinyLama
from models.catalog import files
from models.device import DeviceConfig
from models.errors import BadWeightsError, NothingToCopyError
from models.tiny.lama import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lama")
    make_tiny(folder)
    return folder / "tiny-lama.pt"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the real network, which has a fixed size of 51 million numbers."""
    folder = tmp_path_factory.mktemp("lama")
    torch.manual_seed(0)
    save_file(LamaNetwork(in_nc=4, out_nc=3).state_dict(), folder / "lama.safetensors")
    return folder / "lama.safetensors"


def holed(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Mask:
    hole = np.zeros(shape, np.bool_)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


@pytest.mark.parametrize(
    ("shape", "box"),
    [((1, 2), (0, 1, 0, 1)), ((5, 9), (1, 3, 2, 5)), ((121, 203), (30, 70, 50, 90))],
)
def test_only_the_hole_changes_at_any_size(
    file: Path, shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before, hole = rgb.copy(), holed(shape, box)
    out = TinyLama(file).fill(rgb, hole)
    assert out.dtype == np.uint8
    assert out.shape == rgb.shape
    assert np.array_equal(out[~hole], rgb[~hole])
    assert not np.array_equal(out[hole], rgb[hole])
    assert np.array_equal(rgb, before)


def test_the_content_of_the_hole_has_no_effect(file: Path, photo: Photo) -> None:
    rgb = photo("coffee").rgb[:150, :200]
    hole = holed((150, 200), (40, 90, 60, 120))
    other = rgb.copy()
    other[hole] = 255 - other[hole]
    model = TinyLama(file)
    assert np.array_equal(model.fill(rgb, hole)[hole], model.fill(other, hole)[hole])


def test_pixels_to_avoid_have_no_effect(file: Path, photo: Photo) -> None:
    rgb = photo("coffee").rgb[:150, :200]
    hole, avoid = holed((150, 200), (40, 90, 60, 120)), holed((150, 200), (20, 120, 130, 160))
    other = rgb.copy()
    other[avoid] = 255 - other[avoid]
    model = TinyLama(file)
    ours, theirs = model.fill(rgb, hole, avoid), model.fill(other, hole, avoid)
    assert np.array_equal(ours[hole], theirs[hole])
    assert np.array_equal(theirs[avoid], other[avoid])
    assert not np.array_equal(ours, model.fill(rgb, hole))


def test_a_picture_without_a_hole_is_returned(file: Path, photo: Photo) -> None:
    rgb = photo("coffee").rgb[:40, :40]
    assert np.array_equal(TinyLama(file).fill(rgb, np.zeros((40, 40), np.bool_)), rgb)


def test_a_hole_without_surroundings_is_an_error(file: Path) -> None:
    hole = holed((20, 20), (0, 20, 0, 10))
    with pytest.raises(NothingToCopyError):
        TinyLama(file).fill(np.zeros((20, 20, 3), np.uint8), hole, ~hole)


def test_the_network_gets_a_crop_of_limited_size(
    file: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lama, "_PIXELS", 100 * 100)
    model, seen = TinyLama(file), []
    run = model._run

    def watched(rgb: Rgb, hidden: Mask) -> Rgb:
        seen.append(hidden.size)
        return run(rgb, hidden)

    monkeypatch.setattr(model, "_run", watched)
    rgb = np.ascontiguousarray(photo("astronaut").rgb)
    shape = rgb.shape[0], rgb.shape[1]
    hole = holed(shape, (10, 60, 10, 70), (200, 420, 200, 400))
    out = model.fill(rgb, hole)
    assert len(seen) == 2, "distant holes are filled separately"
    assert max(seen) <= 100 * 100
    assert np.array_equal(out[~hole], rgb[~hole])


def test_a_hole_that_leaves_a_rim_is_filled_at_a_reduced_size(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lama, "_PIXELS", 64 * 64)
    rgb = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    hole = holed((200, 200), (1, 199, 1, 199))
    out = TinyLama(file).fill(rgb, hole)
    assert np.array_equal(out[~hole], rgb[~hole])


def test_the_same_input_gives_the_same_output_from_the_first_call_on(
    file: Path, photo: Photo
) -> None:
    model, rgb = TinyLama(file), photo("chelsea").rgb[:120, :160]
    hole = holed((120, 160), (30, 70, 50, 90))
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        outs = list(threads.map(queued(lambda _: model.fill(rgb, hole)), range(6)))
    outs.append(TinyLama(file).fill(rgb, hole))
    assert all(np.array_equal(outs[0], out) for out in outs)


def test_the_tiny_archive_has_the_interface_of_the_published_one(file: Path) -> None:
    """Picture 0..1 and a mask of whole numbers, marked where above 0, sides multiples of 8."""
    model, seen = TinyLama(file), []
    with model._module.on_device() as network:
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    model.fill(np.full((30, 50, 3), 255, np.uint8), holed((30, 50), (5, 10, 5, 10)))
    ((pixels, mask),) = seen
    assert pixels.shape == (1, 3, 32, 56)
    assert mask.shape == (1, 1, 32, 56)
    assert mask.dtype == torch.int64
    assert sorted(mask.unique().tolist()) == [0, 1]
    assert pixels.dtype == torch.float32
    assert pixels.max() == 1


def test_plain_weights_load_in_evaluation_mode_and_float32(plain: Path) -> None:
    model = Lama(plain, DeviceConfig(dtype="float16"))
    with model._module.on_device() as network:
        assert not any(layer.training for layer in network.modules())
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    rgb = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    hole = holed((40, 48), (10, 25, 10, 25))
    out = model.fill(rgb, hole)
    assert np.array_equal(out[~hole], rgb[~hole])
    assert np.array_equal(out, model.fill(rgb, hole))


def test_a_file_of_another_model_is_named(tmp_path: Path, file: Path) -> None:
    missing, other, broken = (tmp_path / name for name in ("no.pt", "x.safetensors", "cut.pt"))
    save_file({"weight": torch.zeros(2)}, other)
    broken.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for bad, why in (
        (missing, "is missing"),
        (other, "has an architecture that spandrel does not know"),
        (broken, "cannot be read"),
    ):
        with pytest.raises(BadWeightsError, match=why) as refused:
            Lama(bad)
        assert str(bad) in str(refused.value)


def test_weights_of_another_shape_are_named(tmp_path: Path, plain: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(plain)
    state["model.model.1.bn_l.running_mean"] = torch.zeros(3)
    bad = tmp_path / "lama.safetensors"
    save_file(state, bad)
    with pytest.raises(BadWeightsError, match=r"lama\.safetensors does not fit"):
        Lama(bad)


def test_code_of_an_archive_runs_only_if_it_is_the_published_one(file: Path) -> None:
    assert files.BIG_LAMA.sha256 == PUBLISHED_SCRIPT
    with pytest.raises(BadWeightsError, match=r"contains code, and not the published one"):
        Lama(file)


def test_the_tiny_archive_is_torchscript(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert any("/code/" in name for name in archive.namelist())
    assert file.stat().st_size < 5_000_000
