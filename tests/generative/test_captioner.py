"""Captioning by transformers' real BLIP classes with a tiny random model."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imaging.picture import Rgb
from models.backends.torch.captioner import Captioner, sentence
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny.captioner import make_tiny
from tests.helpers.one_at_a_time import one_at_a_time


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner")
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def captioner(folder: Path) -> Captioner:
    return Captioner(folder, DeviceConfig())


def noise(seed: int, height: int = 60, width: int = 80) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_caption_is_one_line_of_words_without_a_full_stop(captioner: Captioner) -> None:
    text = captioner.caption(noise(0))
    assert text
    assert text.isprintable()
    assert not text.endswith(".")
    assert "[" not in text


def test_different_pictures_get_different_captions(captioner: Captioner) -> None:
    flat = [np.full((64, 64, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255))]
    assert captioner.caption(flat[0]) != captioner.caption(flat[1])


def test_the_same_picture_gets_the_same_caption_during_other_calls(
    captioner: Captioner,
) -> None:
    pictures = [noise(seed) for seed in range(6)]
    alone = [captioner.caption(picture) for picture in pictures]
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        assert list(threads.map(queued(captioner.caption), pictures)) == alone


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (2, 4000), (1500, 2000)])
def test_a_picture_of_any_size_gets_a_caption(
    captioner: Captioner, height: int, width: int
) -> None:
    rgb = noise(1, height, width)
    before = rgb.copy()
    assert captioner.caption(rgb)
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a dog on a beach.", "a dog on a beach"),
        ("  a dog \n on a beach . ", "a dog on a beach"),
        ("arafed dog on a beach", "dog on a beach"),
        ("araffe dog on a beach", "dog on a beach"),
        ("there is a dog on a beach", "a dog on a beach"),
        ("there are dogs", "dogs"),
        ("", ""),
    ],
)
def test_the_output_of_the_model_is_cleaned(text: str, caption: str) -> None:
    assert sentence(text) == caption


def test_a_tiny_model_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    make_tiny(tmp_path)
    name = "model.safetensors"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1_000_000


def test_a_missing_weight_is_an_error_not_a_random_number(tmp_path: Path) -> None:
    make_tiny(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.startswith("vision_model."))
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=name.replace(".", r"\.")):
        Captioner(tmp_path, DeviceConfig())


def test_a_git_lfs_pointer_instead_of_weights_is_named(tmp_path: Path) -> None:
    make_tiny(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadWeightsError, match=r"model\.safetensors"):
        Captioner(tmp_path, DeviceConfig())
