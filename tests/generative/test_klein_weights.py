"""The strict loading of a FLUX.2 klein: sharded, tied and damaged files in the published layout."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.backends.diffusion.klein import KleinEdit, KleinPipeline
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny.klein import make_tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CPU = DeviceConfig()
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
SHARD = "text_encoder/model-00002-of-00003.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("klein")
    make_tiny(folder)
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny repository that a test may damage."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_text_encoder_and_index_are_as_published(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "Flux2KleinPipeline"
    assert index["is_distilled"] is True
    assert index["tokenizer"] == ["transformers", "Qwen2TokenizerFast"]
    weights = json.loads((folder / "text_encoder/model.safetensors.index.json").read_text())
    assert "lm_head.weight" not in weights["weight_map"]  # tied
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size < 2_000_000


@pytest.mark.parametrize("name", [TRANSFORMER, SHARD])
def test_a_missing_tensor_is_an_error_that_names_it(copied: Path, name: str) -> None:
    weights = load_file(copied / name)
    key = sorted(weights)[0]
    del weights[key]
    save_file(weights, copied / name, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=key):
        KleinPipeline(copied, CPU)


@pytest.mark.parametrize("name", [TRANSFORMER, SHARD])
def test_an_extra_tensor_is_an_error_that_names_it(copied: Path, name: str) -> None:
    weights = {**load_file(copied / name), "of.another.model": torch.zeros(1)}
    save_file(weights, copied / name, metadata={"format": "pt"})
    with pytest.raises(BadWeightsError, match=r"of\.another\.model"):
        KleinPipeline(copied, CPU)


@pytest.mark.parametrize("name", [TRANSFORMER, SHARD, "vae/diffusion_pytorch_model.safetensors"])
def test_a_truncated_file_is_an_error_that_names_it(copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadWeightsError, match=name):
        KleinPipeline(copied, CPU)


def test_a_missing_shard_and_a_stray_one_are_errors(copied: Path) -> None:
    shutil.copy(copied / SHARD, copied / "text_encoder" / "model-old.safetensors")
    with pytest.raises(BadWeightsError, match="model-old"):
        KleinPipeline(copied, CPU)
    (copied / "text_encoder" / "model-old.safetensors").unlink()
    (copied / SHARD).unlink()
    with pytest.raises(BadWeightsError, match="model-00002-of-00003"):
        KleinPipeline(copied, CPU)


def test_code_of_the_folder_does_not_run(copied: Path) -> None:
    config = copied / "tokenizer" / "tokenizer_config.json"
    text = {**json.loads(config.read_text()), "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    config.write_text(json.dumps(text))
    (copied / "tokenizer" / "evil.py").write_text("raise SystemExit('code ran')\n")
    KleinPipeline(copied, CPU)


def test_eight_bit_weights_still_tell_words_apart(copied: Path) -> None:
    weights = load_file(copied / TRANSFORMER)
    for key, weight in weights.items():
        scale = weight.abs().max() / 127
        weights[key] = (weight / scale).round() * scale
    save_file(weights, copied / TRANSFORMER, metadata={"format": "pt"})
    klein = KleinEdit(copied, CPU, side=64)
    one, other = (
        klein.edit([], words, "", [7], (64, 64))[0] for words in ("make it red", "make it blue")
    )
    assert np.abs(one.astype(int) - other).max() > 2
