"""Code shared by all diffusers pipelines: strict loading, long prompts, generators, views."""

import dataclasses
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.backends.diffusion import diffusion, sdxl_base
from models.backends.diffusion.sdxl import SdxlFill
from models.backends.diffusion.sdxl_pipeline import shared_pipeline
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import BadWeightsError, CallerDisconnectedError
from models.tiny.sdxl import make_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HOLE = np.pad(np.ones((32, 32), np.bool_), 16)
WEIGHTS = [
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder_2/model.safetensors",
]


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FULL", "FEWER", "LCM", "LCM_MORE"):
            patch.setattr(sdxl_base, name, dataclasses.replace(getattr(sdxl_base, name), steps=4))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny(folder)
    return folder


@pytest.fixture
def copied(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny repository that a test may damage."""
    shutil.copytree(tiny, tmp_path / "copy")
    return tmp_path / "copy"


def test_tiny_repositories_are_always_the_same(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    make_tiny(tmp_path)
    files = [file.relative_to(tiny) for file in tiny.rglob("*") if file.is_file()]
    assert sum((tiny / file).stat().st_size for file in files) < 5_000_000
    for file in files:
        assert (tmp_path / file).read_bytes() == (tiny / file).read_bytes(), file


def test_making_a_tiny_repository_does_not_change_the_global_random_state(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_tiny(tmp_path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_missing_key_is_an_error_that_names_the_file(copied: Path, name: str) -> None:
    weights = load_file(copied / name)
    del weights[sorted(weights)[0]]
    save_file(weights, copied / name, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=name):
        SdxlFill(copied, CPU)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_wrong_shape_is_an_error_that_names_the_file(copied: Path, name: str) -> None:
    weights = load_file(copied / name)
    key = sorted(weights)[0]
    weights[key] = torch.zeros(*weights[key].shape, 2)
    save_file(weights, copied / name, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=name):
        SdxlFill(copied, CPU)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_truncated_file_is_an_error_that_names_it(copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadWeightsError, match=name):
        SdxlFill(copied, CPU)


def test_an_extra_key_is_an_error(copied: Path) -> None:
    weights = load_file(copied / WEIGHTS[0])
    save_file({**weights, "of.another.model": torch.zeros(1)}, copied / WEIGHTS[0])
    with pytest.raises(BadWeightsError, match=r"of\.another\.model"):
        SdxlFill(copied, CPU)


def test_a_git_lfs_pointer_instead_of_weights_is_an_error_that_names_it(copied: Path) -> None:
    (copied / WEIGHTS[0]).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(BadWeightsError, match=WEIGHTS[0]):
        SdxlFill(copied, CPU)


def test_a_pickle_is_not_loaded(copied: Path) -> None:
    weights = load_file(copied / WEIGHTS[0])
    (copied / WEIGHTS[0]).unlink()
    torch.save(weights, copied / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(BadWeightsError, match="unet"):
        SdxlFill(copied, CPU)


def test_a_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(BadWeightsError, match="nowhere"):
        SdxlFill(tmp_path / "nowhere", CPU)


def test_a_component_with_code_of_its_own_is_refused(copied: Path) -> None:
    index = copied / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "unet": ["my_code", "MyUNet"]}))
    with pytest.raises(BadWeightsError, match="my_code"):
        SdxlFill(copied, CPU)


def test_half_precision_files_are_found(copied: Path) -> None:
    for name in WEIGHTS:
        file = copied / name
        halved = {key: tensor.half() for key, tensor in load_file(file).items()}
        file.unlink()
        save_file(halved, file.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
    made = SdxlFill(copied, CPU).fill_by_prompt(RGB, HOLE, "a cat", "", [1])
    assert made[0].shape == RGB.shape


def test_concurrent_loads_do_not_change_global_settings_of_torch(
    tiny: Path, tmp_path: Path
) -> None:
    before = torch.linspace
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        shutil.copytree(tiny, folder)
    faults: list[BaseException] = []

    def load(folder: Path) -> None:
        try:
            SdxlFill(folder, CPU)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=load, args=[folder]) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert torch.linspace is before


def test_short_prompts_are_encoded_as_the_pipeline_itself_does(tiny: Path) -> None:
    pipe = shared_pipeline(tiny, CPU)._plain
    with torch.no_grad():
        ours = diffusion.encode_prompts(pipe, CPU, "a cat", "ugly", 2)
        theirs = pipe.encode_prompt(["a cat"] * 2, negative_prompt=["ugly"] * 2)
    names = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    for name, expected in zip(names, theirs, strict=True):
        assert torch.allclose(ours[name], expected, atol=1e-5), name


def test_an_empty_negative_prompt_is_zeros_as_in_training(tiny: Path) -> None:
    pipe = shared_pipeline(tiny, CPU)._plain
    assert pipe.config.force_zeros_for_empty_prompt
    embeddings = diffusion.encode_prompts(pipe, CPU, "a cat", "", 1)
    assert not embeddings["negative_prompt_embeds"].any()
    assert not embeddings["negative_pooled_prompt_embeds"].any()


def test_a_negative_prompt_may_be_longer_than_the_prompt(tiny: Path) -> None:
    pipe = shared_pipeline(tiny, CPU)._plain
    embeddings = diffusion.encode_prompts(pipe, CPU, "a cat", "ugly, " * 50, 1)
    assert embeddings["prompt_embeds"].shape == embeddings["negative_prompt_embeds"].shape
    assert embeddings["prompt_embeds"].shape[1] > 77


@pytest.mark.parametrize("text", ['(a cat)++ ("b", "c").and()', "((((", 'a "cat".swap(dog)', "\\"])
def test_weighting_syntax_in_a_prompt_is_plain_text(tiny: Path, text: str) -> None:
    pipe = shared_pipeline(tiny, CPU)._plain
    with torch.no_grad():
        ours = diffusion.encode_prompts(pipe, CPU, text, None, 1)
        theirs = pipe.encode_prompt(text, do_classifier_free_guidance=False)[0]
    assert torch.allclose(ours["prompt_embeds"], theirs, atol=1e-5)


def test_the_length_of_prompts_is_limited(tiny: Path) -> None:
    pipe = shared_pipeline(tiny, CPU)._plain
    embeddings = diffusion.encode_prompts(pipe, CPU, "x" * 20_000, None, 1)
    assert 4000 < embeddings["prompt_embeds"].shape[1] < 4400


def test_the_end_of_a_long_prompt_has_an_effect(tiny: Path) -> None:
    fill = SdxlFill(tiny, CPU)
    start = "a very long description of a garden with a great many flowers in it, " * 3
    first, second = (
        fill.fill_by_prompt(RGB, HOLE, start + tail, "", [1])[0] for tail in ("a red cat", "a dog")
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("strength", "steps"), [(0.99, 2), (0.3, 2), (0.01, 4), (1.0, 1)])
def test_any_strength_runs_at_least_one_step(strength: float, steps: int) -> None:
    assert int(diffusion.steps_for(strength, steps) * strength) >= 1


def test_steps_are_not_raised_without_need() -> None:
    assert diffusion.steps_for(0.5, 20) == 20


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.01])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        diffusion.steps_for(strength, 20)


def test_a_view_shares_its_weights_but_not_its_modules() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    view = diffusion.view(model)
    assert view is not model
    assert view[0] is not model[0]
    assert view[0].weight is model[0].weight
    assert view[1].running_mean is model[1].running_mean


def test_a_caller_that_disconnects_stops_only_its_own_generation(tiny: Path) -> None:
    fill = SdxlFill(tiny, CPU)
    with deadline_scope(Deadline()) as deadline:
        fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])
        deadline.cancel()
        with pytest.raises(CallerDisconnectedError):
            fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])
    assert fill.fill_by_prompt(RGB, HOLE, "a cat", "", [1])
