"""Moderation with an image classifier from a hub folder."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imaging.picture import Picture
from models.backends.torch.nsfw import NsfwClassifier
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny.nsfw import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]
NAMES = ("astronaut", "coffee", "chelsea")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_tiny(tmp_path / "nsfw")
    return tmp_path / "nsfw"


def label(folder: Path, *names: str) -> None:
    """Rename the classes, and change the number of outputs to match."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["id2label"] = {str(i): name for i, name in enumerate(names)}
    config["label2id"] = {name: i for i, name in enumerate(names)}
    file.write_text(json.dumps(config))
    state = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    state["classifier.weight"] = torch.randn(len(names), state["classifier.weight"].shape[1])
    state["classifier.bias"] = torch.randn(len(names))
    save_file(state, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (64, 48)])
def test_a_score_is_a_probability(folder: Path, shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    score = NsfwClassifier(folder).score(rgb)
    assert list(score) == ["nsfw"]
    assert 0 <= score["nsfw"] <= 1
    assert np.array_equal(rgb, before)


def test_the_unsafe_label_is_found_by_name_not_by_position(folder: Path, photo: Photo) -> None:
    rgb = photo("coffee").rgb
    one = NsfwClassifier(folder).score(rgb)["nsfw"]
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["id2label"] = {"0": "NSFW", "1": "normal"}
    config["label2id"] = {"NSFW": 0, "normal": 1}
    file.write_text(json.dumps(config))
    assert NsfwClassifier(folder).score(rgb)["nsfw"] == pytest.approx(1 - one, abs=1e-5)


def test_levels_from_medium_up_are_added(folder: Path, photo: Photo) -> None:
    label(folder, "neutral", "low", "medium", "high")
    model = NsfwClassifier(folder)
    with model._module.on_device() as network:
        pixels = model._processor(images=photo("coffee").rgb.copy(), return_tensors="pt")
        odds = network(**pixels).logits[0].softmax(0).tolist()
    assert model.score(photo("coffee").rgb)["nsfw"] == pytest.approx(odds[2] + odds[3], abs=1e-5)


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("normal", "safe"), ("nsfw", "weird")])
def test_unknown_labels_are_refused(folder: Path, names: tuple[str, ...]) -> None:
    label(folder, *names)
    with pytest.raises(BadWeightsError, match=r"config\.json"):
        NsfwClassifier(folder)


def test_a_missing_classifier_is_never_replaced_by_random_weights(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["classifier.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadWeightsError, match=r"classifier\.weight is missing"):
        NsfwClassifier(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_missing_file_is_refused(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(BadWeightsError, match=str(folder)):
        NsfwClassifier(folder)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_used_only_on_gpus(folder: Path, dtype: str) -> None:
    with NsfwClassifier(folder, DeviceConfig(dtype=dtype))._module.on_device() as network:
        assert {weight.dtype for weight in network.parameters()} == {torch.float32}
        assert not network.training


def test_concurrent_calls_return_the_same_as_single_ones(folder: Path, photo: Photo) -> None:
    model = NsfwClassifier(folder)
    pictures = [photo(name).rgb for name in NAMES] * 2
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(model.score), pictures))
    assert together == [model.score(picture) for picture in pictures]
