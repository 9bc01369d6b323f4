"""Stable Diffusion 1.5 with its LCM LoRA: tiny random weights, loaded and run by the recipe of the real ones."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imaging.picture import Alpha, Picture, Rgb
from models.backends.diffusion.sd15 import Sd15Fill, Sd15Outpaint, Sd15Scene
from models.device import DeviceConfig
from models.errors import BadWeightsError, ReferenceUnsupportedError
from models.roles import GENERATIVE_FILL
from models.tiny.sd15 import make_tiny, make_tiny_lora
from pipelines.gen_fill import gen_fill
from tests.helpers.fake_models import FakeModels

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HOLE = np.pad(np.ones((32, 24), np.bool_), ((16, 16), (8, 32)))
SUBJECT: Alpha = HOLE.astype(np.float32)
LORA = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sd15")
    make_tiny(folder / "model")
    make_tiny_lora(folder / "lora")
    return folder


@pytest.fixture(scope="module")
def fill(repositories: Path) -> Sd15Fill:
    return Sd15Fill.load([repositories / "model", repositories / "lora"], CPU)


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_a_seed_repeats_its_picture_exactly_alone_and_among_others(fill: Sd15Fill) -> None:
    first, second = (fill.fill_by_prompt(RGB, HOLE, "a cat", "", [7])[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(first, fill.fill_by_prompt(RGB, HOLE, "a cat", "", [3, 7])[1])


def test_seed_prompt_and_negative_prompt_each_have_an_effect(fill: Sd15Fill) -> None:
    base = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [7])[0]
    for prompt, negative, seed in (("a cat", "", 8), ("a dog", "", 7), ("a cat", "ugly", 7)):
        assert difference(base, fill.fill_by_prompt(RGB, HOLE, prompt, negative, [seed])[0]) > 2
    one, other = (
        fill.fill_by_prompt(RGB, HOLE, "a cat", text, [7])[0] for text in ("ugly", "blue")
    )
    assert difference(one, other) > 2


def test_a_long_prompt_is_used_to_its_end(fill: Sd15Fill) -> None:
    long = "a cat on a mat, " * 20
    one, other = (
        fill.fill_by_prompt(RGB, HOLE, long + end, "ugly", [7])[0] for end in ("red", "blue")
    )
    assert difference(one, other) > 0


def test_pixels_outside_the_mask_do_not_change(fill: Sd15Fill) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (150, 170, 3), dtype=np.uint8)
    mask = np.zeros((150, 170), np.uint8)
    mask[40:100, 50:120] = 255
    models = FakeModels({GENERATIVE_FILL: fill})
    (result,) = gen_fill(Picture(rgb), mask, models, "a cat", "ugly", [1])
    assert np.array_equal(result.rgb[mask == 0], rgb[mask == 0])
    assert not np.array_equal(result.rgb, rgb)


def test_the_old_background_does_not_affect_a_scene_and_steps_do(repositories: Path) -> None:
    scene = Sd15Scene.load([repositories / "model", repositories / "lora"], CPU)
    other = RGB.copy()
    other[~HOLE] = 255 - other[~HOLE]
    made = [scene.scenes(rgb, SUBJECT, "a beach", "", [1])[0] for rgb in (RGB, other)]
    assert np.array_equal(*made)
    slow = scene.scenes(RGB, SUBJECT, "a beach", "", [1], fast=False)[0]
    assert not np.array_equal(made[0], slow)
    with pytest.raises(ReferenceUnsupportedError):
        scene.scenes(RGB, SUBJECT, "", "", [1], reference=RGB)
    full = scene.scenes(RGB, np.ones((64, 64), np.float32), "a beach", "", [1])[0]
    assert np.array_equal(full, RGB)


def test_black_canvas_in_the_margin_has_no_effect(repositories: Path) -> None:
    outpaint = Sd15Outpaint.load([repositories / "model", repositories / "lora"], CPU)
    black, white = RGB.copy(), RGB.copy()
    black[HOLE], white[HOLE] = 0, 255
    made = [outpaint.outpaint(canvas, HOLE, "", "", 1) for canvas in (black, white)]
    assert np.array_equal(*made)
    assert np.array_equal(outpaint.outpaint(RGB, np.zeros_like(HOLE), "", "", 1), RGB)


def test_every_multiple_of_the_size_rule_works(fill: Sd15Fill) -> None:
    side = fill.sizes.multiple
    rgb = np.zeros((side, 3 * side, 3), np.uint8)
    assert fill.fill_by_prompt(rgb, rgb[..., 0] == 0, "a cat", "", [1])[0].shape == rgb.shape


class Spy:
    """Records the first input of a module by name."""

    def __init__(self) -> None:
        self.seen: dict[str, list[torch.Tensor]] = {}

    def hook(self, name: str) -> Any:
        def record(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            first = args[0] if args else next(iter(kwargs.values()))
            self.seen.setdefault(name, []).append(first.detach().clone())

        return record


def test_golden_input_is_the_documented_one(fill: Sd15Fill) -> None:
    """The UNet gets latents, mask and masked picture, in this order (model card, "9 channels")."""
    pipe = fill._pipeline._pipes[fill._adapters]
    spy = Spy()
    hooks = [
        getattr(pipe, name).register_forward_pre_hook(spy.hook(name), with_kwargs=True)
        for name in ("unet", "text_encoder")
    ]
    hooks.append(pipe.vae.encoder.register_forward_pre_hook(spy.hook("encoder"), with_kwargs=True))
    try:
        fill.fill_by_prompt(RGB, HOLE, "a cat", "ugly", [7])
    finally:
        for hook in hooks:
            hook.remove()

    # RGB, 0..255 becomes -1..1; the hole is 0 in that range.
    scaled = RGB.astype(np.float32) / 127.5 - 1
    masked = np.where(HOLE[..., None], np.float32(0), scaled).transpose(2, 0, 1)[None]
    assert any(np.allclose(seen.numpy(), masked, atol=1e-5) for seen in spy.seen["encoder"])

    steps = spy.seen["unet"]
    assert len(steps) == 4
    first = steps[0].numpy()
    assert first.shape == (2, 9, 8, 8)  # two with a negative prompt
    # The mask is 1 in the hole, one value for 8 x 8 pixels.
    assert np.array_equal(first[0, 4], HOLE[::8, ::8].astype(np.float32))
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(7)).numpy()
    assert np.allclose(first[0, :4], noise[0], atol=1e-6)
    assert np.array_equal(first[0], first[1])

    # CLIP's byte tokens: a start, one for each letter, the last of a word with </w>, then the end.
    words = pipe.tokenizer.get_vocab()
    ids = [words[word] for word in ("<|startoftext|>", "a</w>", "c", "a", "t</w>")]
    end = words["<|endoftext|>"]
    expected = np.array(ids + [end] * (77 - len(ids)))
    assert any(np.array_equal(row, expected) for seen in spy.seen["text_encoder"] for row in seen)


def test_one_pass_a_step_without_a_negative_prompt(fill: Sd15Fill) -> None:
    pipe = fill._pipeline._pipes[fill._adapters]
    spy = Spy()
    hook = pipe.unet.register_forward_pre_hook(spy.hook("unet"), with_kwargs=True)
    fill.fill_by_prompt(RGB, HOLE, "a cat", "  ", [7])
    hook.remove()
    assert [seen.shape[0] for seen in spy.seen["unet"]] == [1] * 4


def test_the_lora_has_an_effect_and_belongs_to_its_strength(
    repositories: Path, fill: Sd15Fill, tmp_path: Path
) -> None:
    weights = load_file(repositories / "lora" / LORA)
    still = {
        key: torch.zeros_like(value) if "lora_up" in key else value
        for key, value in weights.items()
    }
    save_file(still, tmp_path / LORA)
    without = Sd15Fill.load([repositories / "model", tmp_path], CPU)
    one, other = (m.fill_by_prompt(RGB, HOLE, "a cat", "", [7])[0] for m in (fill, without))
    assert difference(one, other) > 0


def test_a_lora_for_another_model_is_refused(repositories: Path, tmp_path: Path) -> None:
    weights = load_file(repositories / "lora" / LORA)
    strange = {key.replace("attentions_0", "attentions_7"): w for key, w in weights.items()}
    save_file(strange, tmp_path / LORA)
    with pytest.raises(BadWeightsError, match=LORA):
        Sd15Fill.load([repositories / "model", tmp_path], CPU)


def test_the_published_index_with_a_safety_checker_loads(
    repositories: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repositories / "model", folder)
    index = folder / "model_index.json"
    text = index.read_text()
    for name, entry in (
        ("safety_checker", '["stable_diffusion", "StableDiffusionSafetyChecker"]'),
        ("feature_extractor", '["transformers", "CLIPFeatureExtractor"]'),
    ):
        before = f'"{name}": [\n    null,\n    null\n  ]'
        assert before in text
        text = text.replace(before, f'"{name}": {entry}')
    index.write_text(text)
    fill = Sd15Fill.load([folder, repositories / "lora"], CPU)
    assert fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])[0].shape == RGB.shape


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.fp16.safetensors"])
def test_truncated_weights_are_an_error_that_names_the_file(
    repositories: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repositories / "model", folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(BadWeightsError, match=name):
        Sd15Fill.load([folder, repositories / "lora"], CPU)
