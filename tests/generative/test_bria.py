"""The backends of profile `bria` with tiny random weights, loaded as real ones are."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file, save_file

from imaging.picture import Alpha, Mask, Rgb
from models.backends.diffusion.bria import BriaErase, BriaFill, BriaScene
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import BadWeightsError, CallerDisconnectedError, NothingToCopyError
from models.tiny.bria import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time

# EulerAncestralDiscreteScheduler passes a tensor to np.array (diffusers 0.42 with NumPy 2).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

_CONTROLNET = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bria")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def scene(folder: Path) -> BriaScene:
    return BriaScene(folder / "base", folder / "controlnet", folder / "lora", DeviceConfig())


@pytest.fixture(scope="module")
def fill(folder: Path) -> BriaFill:
    return BriaFill(folder / "base", folder / "controlnet", folder / "lora", DeviceConfig())


@pytest.fixture(scope="module")
def erase(folder: Path) -> BriaErase:
    return BriaErase(folder / "base", folder / "controlnet", folder / "lora", DeviceConfig())


def noise(seed: int = 0, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def square(height: int = 64, width: int = 64, start: int = 16, side: int = 32) -> Mask:
    mask = np.zeros((height, width), np.bool_)
    mask[start : start + side, start : start + side] = True
    return mask


def alpha() -> Alpha:
    return square().astype(np.float32)


def apart(one: Rgb, other: Rgb) -> int:
    """Return the largest difference of two pictures, in levels."""
    return int(np.abs(one.astype(np.int16) - other).max())


@pytest.mark.parametrize("fast", [True, False])
def test_a_seed_repeats_its_picture_alone_and_within_two_levels_in_a_batch(
    scene: BriaScene, fast: bool
) -> None:
    def draw(*seeds: int) -> list[Rgb]:
        return scene.scenes(noise(), alpha(), "a beach", "", seeds, fast=fast)

    (alone,) = draw(7)
    assert alone.shape == (64, 64, 3)
    assert alone.dtype == np.uint8
    assert np.array_equal(draw(7)[0], alone)
    among = draw(6, 7, 8)
    assert apart(among[1], alone) <= 2
    assert apart(among[0], alone) > 20
    assert apart(among[2], alone) > 20


def test_more_seeds_than_a_batch_give_one_picture_each(fill: BriaFill) -> None:
    made = fill.fill_by_prompt(noise(), square(), "a dog", "", range(6))
    assert len(made) == 6
    for seed in (3, 5):
        alone = fill.fill_by_prompt(noise(), square(), "a dog", "", [seed])[0]
        assert apart(made[seed], alone) <= 2


def test_no_seed_gives_no_picture(fill: BriaFill) -> None:
    assert fill.fill_by_prompt(noise(), square(), "a dog", "", []) == []


def test_calls_of_other_threads_do_not_change_the_result(scene: BriaScene, fill: BriaFill) -> None:
    def draw(seed: int) -> Rgb:
        if seed % 3 == 2:
            return fill.fill_by_prompt(noise(), square(), "a dog", "", [seed])[0]
        return scene.scenes(noise(), alpha(), "a wood", "", [seed], fast=seed % 3 == 0)[0]

    alone = [draw(seed) for seed in range(6)]
    with one_at_a_time() as queued, ThreadPoolExecutor(4) as threads:
        together = list(threads.map(queued(draw), range(6)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_inputs_are_not_modified(scene: BriaScene, fill: BriaFill, erase: BriaErase) -> None:
    rgb, matte, hole = noise(), alpha(), square()
    for array in (rgb, matte, hole):
        array.flags.writeable = False
    scene.scenes(rgb, matte, "a beach", "", [1])
    fill.fill_by_prompt(rgb, hole, "a dog", "", [1])
    erase.fill(rgb, hole, ~hole & (noise(1)[..., 0] > 250))


def test_a_scene_depends_on_the_subject_and_its_mask_but_not_on_the_background(
    scene: BriaScene,
) -> None:
    def draw(rgb: Rgb, matte: Alpha) -> Rgb:
        return scene.scenes(rgb, matte, "a beach", "", [1])[0]

    first = draw(noise(), alpha())
    other_subject, other_background = noise(), noise()
    other_subject[square()] = 255
    other_background[~square()] = 255
    assert not np.array_equal(draw(other_subject, alpha()), first)
    assert np.array_equal(draw(other_background, alpha()), first)
    # The same picture with another mask.
    black = np.zeros((64, 64, 3), np.uint8)
    assert not np.array_equal(draw(black, alpha()), draw(black, np.zeros_like(alpha())))


def test_the_content_of_the_hole_does_not_affect_the_fill(fill: BriaFill) -> None:
    other = noise()
    other[square()] = 200
    first, second = (
        fill.fill_by_prompt(rgb, square(), "a dog", "", [1])[0] for rgb in (noise(), other)
    )
    assert np.array_equal(first, second)


def test_prompts_that_differ_after_77_tokens_give_different_pictures(fill: BriaFill) -> None:
    start = "a dog in the grass " * 12
    one, other = (
        fill.fill_by_prompt(noise(), square(), start + end, "", [1])[0] for end in ("red", "blue")
    )
    assert not np.array_equal(one, other)


def test_a_negative_prompt_affects_only_fills_and_slow_scenes(
    scene: BriaScene, fill: BriaFill
) -> None:
    def filled(negative: str) -> Rgb:
        return fill.fill_by_prompt(noise(), square(), "a dog", negative, [1])[0]

    def drawn(negative: str, fast: bool) -> Rgb:
        return scene.scenes(noise(), alpha(), "a beach", negative, [1], fast=fast)[0]

    assert not np.array_equal(filled("cats"), filled("rain"))
    assert not np.array_equal(drawn("cats", False), drawn("rain", False))
    assert np.array_equal(drawn("cats", True), drawn("rain", True))


def test_the_lora_is_used_only_for_fast_pictures(folder: Path, scene: BriaScene) -> None:
    without = BriaScene(folder / "base", folder / "controlnet", None, DeviceConfig())

    def draw(model: BriaScene, fast: bool) -> Rgb:
        return model.scenes(noise(), alpha(), "a beach", "", [1], fast=fast)[0]

    assert not np.array_equal(draw(scene, True), draw(without, True))
    assert np.array_equal(draw(scene, False), draw(without, False))


def test_a_picture_with_different_sides_keeps_its_size(fill: BriaFill) -> None:
    hole = square(64, 128)
    made = fill.fill_by_prompt(noise(0, 64, 128), hole, "a dog", "", [1])[0]
    assert made.shape == (64, 128, 3)


def test_a_side_that_no_latent_fits_is_refused(fill: BriaFill) -> None:
    with pytest.raises(ValueError, match="100x64"):
        fill.fill_by_prompt(noise(0, 64, 100), square(64, 100), "a dog", "", [1])


def test_a_reference_picture_is_refused_with_a_reason(scene: BriaScene) -> None:
    with pytest.raises(ValueError, match="reference"):
        scene.scenes(noise(), alpha(), "", "", [1], reference=noise(2))


def test_roles_on_one_base_share_its_weights(scene: BriaScene, fill: BriaFill) -> None:
    assert scene._model._plain.unet is fill._model._plain.unet
    assert scene._model._plain.vae is fill._model._plain.vae


def test_another_vae_replaces_that_of_the_base(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "base" / "vae", tmp_path / "vae")
    file = tmp_path / "vae" / _CONTROLNET
    weights = load_file(file)
    weights["decoder.conv_out.bias"] += 0.5
    save_file(weights, file, metadata={"format": "pt"})
    parts = folder / "base", folder / "controlnet", folder / "lora"
    brighter = BriaFill(*parts, DeviceConfig(), vae=tmp_path / "vae")
    usual = BriaFill(*parts, DeviceConfig())
    light, dark = (
        model.fill_by_prompt(noise(), square(), "a dog", "", [1])[0] for model in (brighter, usual)
    )
    assert light.mean() > dark.mean() + 30


def test_a_cancelled_generation_ends_without_a_picture(fill: BriaFill) -> None:
    deadline = Deadline()
    deadline.cancel()
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        fill.fill_by_prompt(noise(), square(), "a dog", "", [1])
    assert fill.fill_by_prompt(noise(), square(), "a dog", "", [1])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (300, 403), (1, 40), (37, 1000)])
def test_erasing_changes_only_the_hole_at_any_size(
    erase: BriaErase, height: int, width: int
) -> None:
    rgb = noise(0, height, width)
    hole = np.zeros((height, width), np.bool_)
    hole[height // 3 : height // 3 + 20, 10:30] = True
    made = erase.fill(rgb, hole)
    assert np.array_equal(made[~hole], rgb[~hole])
    assert (made[hole] != rgb[hole]).any()
    assert np.array_equal(erase.fill(rgb, hole), made)


def test_pixels_to_avoid_do_not_affect_the_erased_hole(erase: BriaErase) -> None:
    rgb, avoid = noise(0, 128, 128), square(128, 128, 80)
    other = rgb.copy()
    other[avoid] = 255
    hole = square(128, 128, 20, 24)
    made, again = erase.fill(rgb, hole, avoid), erase.fill(other, hole, avoid)
    assert np.array_equal(made[hole], again[hole])
    assert np.array_equal(again[avoid], other[avoid])


def test_distant_holes_are_each_filled(erase: BriaErase) -> None:
    rgb = noise(0, 400, 600)
    hole = square(400, 600, 10, 20)
    hole[350:380, 500:560] = True
    made = erase.fill(rgb, hole)
    assert np.array_equal(made[~hole], rgb[~hole])
    assert (made[:40, :40] != rgb[:40, :40]).any()
    assert (made[350:380, 500:560] != rgb[350:380, 500:560]).any()


@pytest.mark.parametrize("size", [64, 500])
def test_a_line_one_pixel_wide_is_in_the_mask_of_the_model(
    erase: BriaErase, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    masks: list[Mask] = []
    generate = erase._model.generate

    def spy(rgb: Rgb, mask: Mask, *rest: Any) -> list[Rgb]:
        masks.append(mask)
        return generate(rgb, mask, *rest)

    monkeypatch.setattr(erase._model, "generate", spy)
    hole = np.zeros((size, size), np.bool_)
    hole[size // 2 + 3, 4:-4] = True
    erase.fill(noise(0, size, size), hole)
    assert masks[0][::8, ::8].any(axis=0).mean() > 0.8


def test_an_empty_hole_changes_nothing(erase: BriaErase) -> None:
    assert np.array_equal(erase.fill(noise(), np.zeros((64, 64), np.bool_)), noise())


def test_a_hole_with_nothing_around_it_is_refused(erase: BriaErase) -> None:
    with pytest.raises(NothingToCopyError):
        erase.fill(noise(), square(), ~square())


def test_a_controlnet_that_reads_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    kind: Any = ControlNetModel
    config = kind.load_config(folder / "controlnet")
    network = kind.from_config({**config, "conditioning_channels": 3})
    network.save_pretrained(tmp_path)
    with pytest.raises(BadWeightsError, match="3 channels"):
        BriaFill(folder / "base", tmp_path, None, DeviceConfig())


def test_the_control_image_is_not_reduced_as_diffusers_does(fill: BriaFill) -> None:
    embedding = fill._model._plain.controlnet.controlnet_cond_embedding
    assert embedding(torch.zeros(1, 5, 8, 8)).shape[-2:] == (8, 8)


@pytest.mark.parametrize("part", ["controlnet", "base/unet", "lora"])
def test_a_file_with_a_missing_weight_is_named(folder: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(folder, tmp_path / "bria")
    file = next((tmp_path / "bria" / part).glob("*.safetensors"))
    weights = load_file(file)
    del weights[min(weights)]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=file.name):
        _load(tmp_path / "bria")


@pytest.mark.parametrize("part", ["controlnet", "base/unet", "base/vae", "lora"])
def test_a_truncated_file_is_named(folder: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(folder, tmp_path / "bria")
    file = next((tmp_path / "bria" / part).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(BadWeightsError, match=file.name):
        _load(tmp_path / "bria")


def _load(folder: Path) -> BriaFill:
    return BriaFill(folder / "base", folder / "controlnet", folder / "lora", DeviceConfig())


def test_a_tiny_model_is_small_and_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    make_tiny(tmp_path)
    files = [file for file in tmp_path.rglob("*.safetensors")]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    for file in files:
        assert file.read_bytes() == (folder / file.relative_to(tmp_path)).read_bytes()
