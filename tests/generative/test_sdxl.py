"""Fill, scenes and outpainting with a tiny SDXL of random weights, loaded as a real one is."""

import dataclasses
import gc
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from safetensors.torch import load_file, save_file

from imaging.picture import Rgb
from models.backends.diffusion import diffusion, sdxl_base, shared
from models.backends.diffusion.face_editing import SdxlFaceEditing
from models.backends.diffusion.sdxl import (
    SdxlFill,
    SdxlOutpaint,
    SdxlScene,
    prefill,
)
from models.backends.diffusion.sdxl_pipeline import Recipe, SdxlPipeline, shared_pipeline
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny.sdxl import make_tiny, make_tiny_ip_adapter, make_tiny_lora, make_tiny_vae
from tests.helpers.one_at_a_time import one_at_a_time

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
REFERENCE = RANDOM.integers(0, 256, (40, 50, 3), dtype=np.uint8)
HOLE = np.pad(np.ones((32, 32), np.bool_), 16)
SUBJECT = HOLE.astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FULL", "FEWER", "LCM", "LCM_MORE"):
            patch.setattr(sdxl_base, name, dataclasses.replace(getattr(sdxl_base, name), steps=4))
        yield


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdxl")
    make_tiny(folder / "model")
    make_tiny_lora(folder / "lora")
    make_tiny_ip_adapter(folder / "ip")
    make_tiny_vae(folder / "vae")
    return folder


@pytest.fixture(scope="module")
def fill(repositories: Path) -> SdxlFill:
    return SdxlFill(repositories / "model", CPU)


@pytest.fixture(scope="module")
def scene(repositories: Path) -> SdxlScene:
    return SdxlScene(repositories / "model", CPU, repositories / "ip", repositories / "lora")


def difference(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


def mean_difference(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_pictures_have_the_given_size_and_inputs_are_not_modified(fill: SdxlFill) -> None:
    rgb, hole = RGB[:, :32].copy(), HOLE[:, :32].copy()
    made = fill.fill_by_prompt(rgb, hole, "a cat", "ugly", [1, 2])
    assert all(one.shape == (64, 32, 3) and one.dtype == np.uint8 for one in made)
    assert len(made) == 2
    assert np.array_equal(rgb, RGB[:, :32])
    assert np.array_equal(hole, HOLE[:, :32])


def test_a_seed_repeats_its_picture_exactly(fill: SdxlFill) -> None:
    first, second = (fill.fill_by_prompt(RGB, HOLE, "a cat", "", [7])[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_seed_prompt_and_negative_prompt_each_have_an_effect(fill: SdxlFill) -> None:
    base = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [7])[0]
    for prompt, negative, seed in (("a cat", "", 8), ("a dog", "", 7), ("a cat", "ugly", 7)):
        assert difference(base, fill.fill_by_prompt(RGB, HOLE, prompt, negative, [seed])[0]) > 2


def test_a_seed_in_a_batch_repeats_its_picture_within_two_levels(fill: SdxlFill) -> None:
    seeds = [3, 1, 4, 15, 9, 2]  # more than one batch
    together = fill.fill_by_prompt(RGB, HOLE, "a cat", "", seeds)
    for seed, picture in zip(seeds, together, strict=True):
        assert difference(picture, fill.fill_by_prompt(RGB, HOLE, "a cat", "", [seed])[0]) <= 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_a_request_repeats_and_a_seed_alone_looks_the_same(
    repositories: Path, dtype: str
) -> None:
    fill = SdxlFill(repositories / "model", DeviceConfig(dtype=dtype), vae=repositories / "vae")
    one, again = (fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1, 2, 3]) for _ in range(2))
    assert all(map(np.array_equal, one, again))
    alone = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [2])[0]
    assert mean_difference(alone, one[1]) < mean_difference(alone, one[0]) / 4


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_seeds_go_through_the_network_together_in_every_precision(
    repositories: Path, dtype: str
) -> None:
    base, lora, vae = (repositories / name for name in ("model", "lora", "vae"))
    fill = SdxlFill(base, DeviceConfig(dtype=dtype), lora, vae, fused=True)
    plain = fill._pipeline._plain
    passes: dict[str, list[int]] = {}

    def seen(name: str) -> Callable[..., None]:
        return lambda module, args, output: passes.setdefault(name, []).append(len(args[0]))

    networks = {
        "unet": plain.unet,
        "decoder": plain.vae.decoder,
        "encoder": plain.vae.encoder,
    }
    hooks = [network.register_forward_hook(seen(name)) for name, network in networks.items()]
    try:
        fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1, 2, 3, 4, 5])
        fill.fill_by_prompt(RGB, HOLE, "a cat", "ugly", [1, 2])
    finally:
        for hook in hooks:
            hook.remove()
    steps = sdxl_base.LCM.steps
    assert passes["unet"] == [4] * steps + [1] * steps + [4] * steps
    assert passes["decoder"] == [1] * 7
    assert passes["encoder"] == [1, 1]  # the picture without its hole, once a request


def test_a_prompt_is_encoded_once_for_all_seeds(
    fill: SdxlFill, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    inner = diffusion.encode_prompts

    def encode(pipe: Any, config: DeviceConfig, prompt: str, *args: Any) -> Any:
        encoded.append(prompt)
        return inner(pipe, config, prompt, *args)

    monkeypatch.setattr(diffusion, "encode_prompts", encode)
    fill.fill_by_prompt(RGB, HOLE, "a cat", "ugly", [1, 2, 3, 4, 5])
    assert encoded == ["a cat"]


def test_a_picture_is_encoded_as_diffusers_does(repositories: Path) -> None:
    pipe = shared_pipeline(repositories / "model", CPU)._plain
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = pipe._encode_vae_image(picture, diffusion.generators([1, 2]))
    theirs = StableDiffusionXLInpaintPipeline._encode_vae_image(
        pipe, picture.repeat(2, 1, 1, 1), diffusion.generators([1, 2])
    )
    assert torch.equal(ours, theirs)


def test_concurrent_calls_return_the_same_as_single_ones(
    repositories: Path, fill: SdxlFill, scene: SdxlScene
) -> None:
    outpaint = SdxlOutpaint(repositories / "model", CPU)
    calls: list[Callable[[], Rgb]] = [
        lambda: fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])[0],
        lambda: scene.scenes(RGB, SUBJECT, "a beach", "", [1])[0],
        lambda: scene.scenes(RGB, SUBJECT, "", "", [1], fast=False, reference=REFERENCE)[0],
        lambda: outpaint.outpaint(RGB, HOLE, "a wood", "", 1),
    ]
    alone = [call() for call in calls]
    with one_at_a_time() as queued, ThreadPoolExecutor(len(calls)) as threads:
        beside = list(threads.map(lambda call: queued(call)(), calls))
    for number, picture in enumerate(alone):
        assert np.array_equal(beside[number], picture), number


def test_concurrent_calls_in_float32_do_not_mix_their_pictures(fill: SdxlFill) -> None:
    # Each call has its own diffusers scheduler, so their pictures do not mix.
    alone = [fill.fill_by_prompt(RGB, HOLE, "a cat", "", [seed])[0] for seed in (1, 2)]
    beside: dict[int, Rgb] = {}
    start = threading.Barrier(2)

    def run(seed: int) -> None:
        start.wait()
        beside[seed] = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [seed])[0]

    threads = [threading.Thread(target=run, args=[seed]) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(beside[1], alone[0])
    assert np.array_equal(beside[2], alone[1])


def test_roles_share_one_pipeline_while_any_uses_it(repositories: Path, tmp_path: Path) -> None:
    shutil.copytree(repositories / "model", tmp_path / "own")
    fill, outpaint = SdxlFill(tmp_path / "own", CPU), SdxlOutpaint(tmp_path / "own", CPU)
    assert fill._pipeline is outpaint._pipeline
    key = (SdxlPipeline, (tmp_path / "own").resolve(), CPU)
    del fill
    gc.collect()
    assert key in shared._LOADED
    del outpaint
    gc.collect()
    assert key not in shared._LOADED


def test_roles_share_one_pipeline_with_another_vae(repositories: Path) -> None:
    base, ip, lora, vae = (repositories / name for name in ("model", "ip", "lora", "vae"))
    models = (
        SdxlFill.load([base, lora, vae], CPU, vae=True),
        SdxlScene.load([base, ip, lora, vae], CPU, vae=True),
        SdxlOutpaint.load([base, vae], CPU, vae=True),
        SdxlFaceEditing.load([base, vae], CPU, vae=True),
    )
    pipelines = {model._pipeline for model in models}
    assert len(pipelines) == 1
    wanted = load_file(vae / "diffusion_pytorch_model.safetensors")
    found = pipelines.pop()._plain.vae.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())
    assert shared_pipeline(base, CPU) is not models[0]._pipeline


def test_another_vae_changes_pictures_and_needs_no_float32(
    repositories: Path, fill: SdxlFill
) -> None:
    half = DeviceConfig(dtype="float16")
    other = SdxlFill(repositories / "model", half, vae=repositories / "vae")
    assert not other._pipeline._plain.vae.config.force_upcast
    made, before = (model.fill_by_prompt(RGB, HOLE, "a cat", "", [1])[0] for model in (other, fill))
    assert difference(made, before) > 2
    assert other._pipeline._plain.vae.dtype == torch.float16


@pytest.mark.parametrize("fault", ["missing", "key"])
def test_a_bad_vae_is_an_error_that_names_its_file(
    repositories: Path, tmp_path: Path, fault: str
) -> None:
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.copytree(repositories / "vae", file.parent)
    weights = load_file(file)
    file.unlink()
    if fault == "key":
        del weights[sorted(weights)[0]]
        save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=f"{file if fault == 'key' else file.parent}"):
        SdxlFill(repositories / "model", CPU, vae=file.parent)


def test_adapters_do_not_affect_calls_without_them(repositories: Path, tmp_path: Path) -> None:
    shutil.copytree(repositories / "model", tmp_path / "own")
    fill = SdxlFill(tmp_path / "own", CPU)
    plain = SdxlScene(tmp_path / "own", CPU)
    before = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])[0]
    slow = plain.scenes(RGB, SUBJECT, "a beach", "", [1], fast=False)[0]
    scene = SdxlScene(tmp_path / "own", CPU, repositories / "ip", repositories / "lora")
    scene.scenes(RGB, SUBJECT, "a beach", "", [1], reference=REFERENCE)
    assert np.array_equal(before, fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])[0])
    again = scene.scenes(RGB, SUBJECT, "a beach", "", [1], fast=False)[0]
    assert np.array_equal(slow, again)


def test_a_fused_lora_makes_the_same_pictures_and_nothing_of_it_runs(repositories: Path) -> None:
    base, ip, lora = (repositories / name for name in ("model", "ip", "lora"))
    beside = SdxlScene(base, CPU, ip, lora)
    fused = SdxlScene(base, CPU, ip, lora, fused=True)
    for reference in (None, REFERENCE):
        one, other = (
            model.scenes(RGB, SUBJECT, "a beach", "", [1, 2], reference=reference)
            for model in (beside, fused)
        )
        assert max(difference(*pair) for pair in zip(one, other, strict=True)) <= 1
    plain = [type(module) for module in shared_pipeline(base, CPU)._plain.unet.modules()]
    unet = fused._pipeline._plain.unet
    assert [type(module) for module in unet.modules()] == plain
    assert not any("lora" in name for name, _ in unet.named_parameters())
    before = dict(shared_pipeline(base, CPU)._plain.unet.named_parameters())
    changed = {name for name, tensor in unet.named_parameters() if not before[name].equal(tensor)}
    assert changed
    assert all("attn" in name for name in changed)


def test_roles_with_a_fused_lora_share_one_pipeline_apart_from_the_plain_one(
    repositories: Path,
) -> None:
    base, ip, lora, vae = (repositories / name for name in ("model", "ip", "lora", "vae"))
    options = {"vae": True, "fused": True}
    models = (
        SdxlFill.load([base, lora, vae], CPU, **options),
        SdxlScene.load([base, ip, lora, vae], CPU, **options),
        SdxlOutpaint.load([base, lora, vae], CPU, **options),
        SdxlFaceEditing.load([base, lora, vae], CPU, **options),
    )
    assert len({model._pipeline for model in models}) == 1
    assert models[0]._pipeline is not SdxlFill.load([base, vae], CPU, vae=True)._pipeline


def test_a_fused_lora_serves_slow_scenes_margins_and_faces_too(repositories: Path) -> None:
    base, ip, lora = (repositories / name for name in ("model", "ip", "lora"))
    scene = SdxlScene(base, CPU, ip, lora, fused=True)
    fast, slow = (
        scene.scenes(RGB, SUBJECT, "a beach", "", [1], fast=fast)[0] for fast in (True, False)
    )
    assert difference(fast, slow) > 2
    outpaint = SdxlOutpaint(base, CPU, lora, fused=True)
    margin = outpaint.outpaint(RGB, HOLE, "a wood", "", 1)
    assert difference(margin, SdxlOutpaint(base, CPU).outpaint(RGB, HOLE, "a wood", "", 1)) > 2
    faces = SdxlFaceEditing(base, CPU, lora, fused=True)
    assert faces._face_recipe().scheduler == "LCMScheduler"
    assert SdxlFaceEditing(base, CPU, lora)._face_recipe().scheduler is None


def test_adapters_add_no_second_copy_of_the_weights(repositories: Path, scene: SdxlScene) -> None:
    pipeline = shared_pipeline(repositories / "model", CPU)
    own = {id(tensor) for tensor in pipeline._plain.unet.parameters()}
    assert len(pipeline._pipes) == 4  # plain, LoRA, IP-Adapter, both
    for pipe in pipeline._pipes.values():
        assert own <= {id(tensor) for tensor in pipe.unet.parameters()}


def test_the_lora_changes_fast_scenes(repositories: Path, tmp_path: Path) -> None:
    weights = load_file(repositories / "lora" / "pytorch_lora_weights.safetensors")
    still = {key: torch.zeros_like(tensor) for key, tensor in weights.items()}
    save_file(still, tmp_path / "pytorch_lora_weights.safetensors")
    one, other = (
        SdxlScene(repositories / "model", CPU, fast_lora=lora).scenes(
            RGB, SUBJECT, "a beach", "", [1]
        )[0]
        for lora in (repositories / "lora", tmp_path)
    )
    assert difference(one, other) > 0


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("recipe", ["plain", "beside", "fused"])
def test_every_scene_uses_the_negative_prompt(
    repositories: Path, scene: SdxlScene, fast: bool, recipe: str
) -> None:
    models = {
        "plain": lambda: SdxlScene(repositories / "model", CPU),
        "beside": lambda: scene,
        "fused": lambda: SdxlScene(
            repositories / "model", CPU, fast_lora=repositories / "lora", fused=True
        ),
    }
    model = models[recipe]()
    without, blank, rain = (
        model.scenes(RGB, SUBJECT, "a beach", text, [1], fast=fast)[0] for text in ("", " ", "rain")
    )
    assert np.array_equal(without, blank)
    assert not np.array_equal(without, rain)


@pytest.mark.parametrize("fast", [True, False])
def test_the_reference_picture_has_an_effect(scene: SdxlScene, fast: bool) -> None:
    one, other = (
        scene.scenes(RGB, SUBJECT, "", "", [1], fast=fast, reference=reference)[0]
        for reference in (REFERENCE, 255 - REFERENCE)
    )
    assert difference(one, other) > 0


@pytest.mark.parametrize("fast", [True, False])
def test_the_influence_of_a_reference_picture_is_graded(scene: SdxlScene, fast: bool) -> None:
    def made(influence: float) -> Rgb:
        picture = scene.scenes(
            RGB, SUBJECT, "", "", [1], fast=fast, reference=REFERENCE, influence=influence
        )[0]
        return picture.astype(np.int16)

    without, half, whole = map(made, (0.0, 0.5, 1.0))
    plain = scene.scenes(RGB, SUBJECT, "", "", [1], fast=fast)[0]
    default = scene.scenes(RGB, SUBJECT, "", "", [1], fast=fast, reference=REFERENCE)[0]
    assert np.array_equal(without, plain)
    assert np.array_equal(whole, default)
    nearer = np.abs(half - without).mean()
    assert 0 < nearer < np.abs(whole - without).mean()


def test_an_influence_weights_what_the_adapter_adds(
    repositories: Path, scene: SdxlScene, tmp_path: Path
) -> None:
    # A wide picture: the adapter's layers see it at several sizes.
    wide, subject = np.hstack([RGB, RGB[:, :32]]), np.hstack([SUBJECT, SUBJECT[:, :32]])
    call = {"fast": False, "reference": REFERENCE}
    graded = scene.scenes(wide, subject, "", "", [1], influence=0.25, **call)[0]
    shutil.copytree(repositories / "model", tmp_path / "own")
    own = SdxlScene(tmp_path / "own", CPU, repositories / "ip")
    for pipe in own._pipeline._pipes.values():
        pipe.set_ip_adapter_scale(0.25)
    scaled = own.scenes(wide, subject, "", "", [1], **call)[0]
    whole = scene.scenes(wide, subject, "", "", [1], **call)[0]
    assert difference(graded, scaled) <= 1
    assert difference(graded, whole) > 1


def test_a_reference_without_influence_needs_no_adapter(repositories: Path) -> None:
    model = SdxlScene(repositories / "model", CPU)
    made = model.scenes(RGB, SUBJECT, "", "", [1], reference=REFERENCE, influence=0.0)[0]
    assert np.array_equal(made, model.scenes(RGB, SUBJECT, "", "", [1])[0])


def test_a_reference_without_an_adapter_is_refused(repositories: Path) -> None:
    scene = SdxlScene(repositories / "model", CPU)
    with pytest.raises(ValueError, match="IP-Adapter"):
        scene.scenes(RGB, SUBJECT, "", "", [1], reference=REFERENCE)


def test_the_old_background_does_not_affect_a_scene(scene: SdxlScene) -> None:
    other = RGB.copy()
    other[~HOLE] = 255 - other[~HOLE]
    made = [scene.scenes(rgb, SUBJECT, "a beach", "", [1], fast=False)[0] for rgb in (RGB, other)]
    assert np.array_equal(*made)


def test_a_scene_without_background_is_the_picture(scene: SdxlScene) -> None:
    made = scene.scenes(RGB, np.ones((64, 64), np.float32), "a beach", "", [1, 2])
    assert all(np.array_equal(one, RGB) for one in made)


def test_black_canvas_in_the_margin_has_no_effect(repositories: Path) -> None:
    outpaint = SdxlOutpaint(repositories / "model", CPU)
    black, white = RGB.copy(), RGB.copy()
    black[HOLE], white[HOLE] = 0, 255
    made = [outpaint.outpaint(canvas, HOLE, "", "", 1) for canvas in (black, white)]
    assert np.array_equal(*made)


def test_outpainting_starts_from_the_colours_of_the_border() -> None:
    canvas = np.zeros((64, 96, 3), np.uint8)
    canvas[:, :32] = (200, 40, 20)
    canvas[:, 64:] = (20, 40, 200)
    hole = np.zeros((64, 96), np.bool_)
    hole[:, 32:64] = True
    begun = prefill(canvas, hole)
    assert np.array_equal(begun[~hole], canvas[~hole])
    assert begun[:, 32:36, 0].min() > 150
    assert begun[:, 60:64, 2].min() > 150


def test_outpainting_starts_from_grey_without_a_picture() -> None:
    assert (prefill(RGB, np.ones((64, 64), np.bool_)) == 128).all()


def test_a_canvas_without_margin_does_not_change(repositories: Path) -> None:
    outpaint = SdxlOutpaint(repositories / "model", CPU)
    assert np.array_equal(outpaint.outpaint(RGB, np.zeros_like(HOLE), "", "", 1), RGB)


def test_sides_that_are_not_multiples_of_8_are_refused(fill: SdxlFill) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        fill.fill_by_prompt(RGB[:60], HOLE[:60], "a cat", "", [1])


def test_every_multiple_of_the_size_rule_works(fill: SdxlFill) -> None:
    side = fill.sizes.multiple
    for height, width in ((side, 3 * side), (3 * side, 2 * side)):
        rgb = np.zeros((height, width, 3), np.uint8)
        made = fill.fill_by_prompt(rgb, np.ones((height, width), np.bool_), "a cat", "", [1])
        assert made[0].shape == rgb.shape


def test_a_low_strength_works(repositories: Path) -> None:
    pipeline = shared_pipeline(repositories / "model", CPU)
    recipe = Recipe(steps=2, guidance=2.0, strength=0.3)
    assert pipeline.generate(RGB, HOLE, "a cat", "", [1], recipe)[0].shape == RGB.shape


def test_models_of_four_channels_work_and_show_the_rest(tmp_path: Path) -> None:
    make_tiny(tmp_path, channels=4)
    fill = SdxlFill(tmp_path, CPU)
    together = fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1, 2])
    assert difference(together[1], fill.fill_by_prompt(RGB, HOLE, "a cat", "", [2])[0]) <= 2


def test_a_lora_with_a_renamed_weight_is_refused(repositories: Path, tmp_path: Path) -> None:
    weights = load_file(repositories / "lora" / "pytorch_lora_weights.safetensors")
    name = sorted(weights)[0]
    weights[name.replace("attentions.0", "attentions.7")] = weights.pop(name)
    save_file(weights, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(BadWeightsError, match="pytorch_lora_weights"):
        SdxlScene(repositories / "model", CPU, fast_lora=tmp_path).scenes(
            RGB, SUBJECT, "a beach", "", [1], fast=True
        )


def test_a_fill_accepts_a_lightning_lora(repositories: Path, tmp_path: Path) -> None:
    file = tmp_path / "sdxl_lightning_4step_lora.safetensors"
    shutil.copy(repositories / "lora" / "pytorch_lora_weights.safetensors", file)
    fill = SdxlFill(repositories / "model", CPU, file)
    assert fill._fast is not None
    assert (fill._fast.steps, fill._fast.spacing) == (4, "trailing")
    made = [fill.fill_by_prompt(RGB, HOLE, "a cat", text, [1])[0] for text in ("", " ", "ugly")]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


LORA = "lora/pytorch_lora_weights.safetensors"
ADAPTER = "ip/sdxl_models/ip-adapter_sdxl_vit-h.safetensors"
ENCODER = "ip/models/image_encoder/model.safetensors"


@pytest.mark.parametrize("name", [LORA, ADAPTER, ENCODER])
@pytest.mark.parametrize("fault", ["truncated", "shape", "missing"])
def test_a_bad_adapter_is_an_error_that_names_its_file(
    repositories: Path, tmp_path: Path, name: str, fault: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(repositories, folder)
    weights = load_file(folder / name)
    key = next(key for key in sorted(weights) if "weight" in key)
    if fault == "truncated":
        (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    elif fault == "shape":
        weights[key] = torch.zeros(weights[key].shape[0] + 3, *weights[key].shape[1:])
        save_file(weights, folder / name, metadata={"format": "pt"})
    else:
        del weights[key]
        save_file(weights, folder / name, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=name):
        SdxlScene(folder / "model", CPU, folder / "ip", folder / "lora")


@pytest.mark.parametrize("fault", ["shape", "missing", "layer"])
def test_an_adapter_for_another_model_is_an_error_that_names_its_file(
    repositories: Path, tmp_path: Path, fault: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(repositories / "ip", folder)
    file = folder / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors"
    weights = load_file(file)
    key = sorted(key for key in weights if key.startswith("ip_adapter."))[0]
    if fault == "shape":
        weights[key] = torch.zeros(weights[key].shape[0] * 2, weights[key].shape[1])
    elif fault == "missing":
        del weights[key]
    else:
        weights["ip_adapter.99.to_k_ip.weight"] = weights[key].clone()
    save_file(weights, file)
    with pytest.raises(BadWeightsError, match=file.name):
        SdxlScene(repositories / "model", CPU, folder)


def test_a_lora_for_another_model_is_refused(repositories: Path, tmp_path: Path) -> None:
    weights = load_file(repositories / LORA)
    strange = {key.replace("attentions", "strangers"): value for key, value in weights.items()}
    save_file(strange, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(BadWeightsError, match="pytorch_lora_weights"):
        SdxlFill(repositories / "model", CPU, tmp_path)


def test_a_lora_of_text_encoders_is_refused(repositories: Path, tmp_path: Path) -> None:
    weights = load_file(repositories / LORA)
    key = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"
    save_file({**weights, key: torch.zeros(2, 32)}, tmp_path / "pytorch_lora_weights.safetensors")
    with pytest.raises(BadWeightsError, match="not of a UNet"):
        SdxlFill(repositories / "model", CPU, tmp_path)


def test_nan_is_an_error_instead_of_a_black_picture(tmp_path: Path) -> None:
    make_tiny(tmp_path)
    pipeline = SdxlPipeline(tmp_path, CPU)
    with torch.no_grad():
        next(pipeline._plain.vae.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError):
        pipeline.generate(RGB, HOLE, "", "", [1], Recipe(2, 1.0, 1.0))
