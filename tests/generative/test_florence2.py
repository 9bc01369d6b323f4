"""Florence-2's ONNX backend against transformers' own class with random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

from imaging.picture import Rgb
from models.backends.onnx import florence2
from models.backends.onnx.beam_search import search
from models.backends.onnx.florence2 import Florence2, Florence2Captioning
from models.backends.onnx.florence2_vision import corrected, pixel_values
from models.device import DeviceConfig
from tests.helpers.florence2_export import export_florence2
from tests.helpers.tiny_florence2 import FILES, make_tokenizer

IMAGE_TOKEN = 1299
LONGEST = 24
"""More tokens of a random model come to a tie that rounding decides."""


@pytest.fixture(scope="module")
def reference() -> Any:
    """A tiny Florence-2 of transformers."""
    torch.manual_seed(0)
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1),
        embed_dim=(16, 16, 16, 16),
        num_heads=(2, 2, 2, 2),
        num_groups=(2, 2, 2, 2),
        projection_dim=16,
    )
    text = BartConfig(
        vocab_size=IMAGE_TOKEN + 1,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        init_std=1.0,
    )
    config = Florence2Config(
        text_config=text.to_dict(), vision_config=vision.to_dict(), image_token_id=IMAGE_TOKEN
    )
    model = Florence2ForConditionalGeneration(config).eval()
    for name, weights in model.named_parameters():
        if "channel_attn.qkv.weight" in name:  # wide, so that the attention's scale matters
            torch.nn.init.normal_(weights, std=0.6)
    return model


@pytest.fixture(scope="module")
def paths(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of the card, exported at 224 pixels as the published ones are."""
    folder = tmp_path_factory.mktemp("florence2")
    paths = [folder / name for name in FILES]
    export_florence2(reference, paths[:4], traced_side=224)
    make_tokenizer().save(str(paths[4]))
    return paths


def noise(seed: int) -> Rgb:
    rgb = np.random.default_rng(seed).integers(0, 256, (20 + seed, 30, 3), np.uint8)
    return rgb.repeat(8, 0).repeat(8, 1)


def test_the_corrected_vision_encoder_agrees_with_transformers(
    reference: Any, paths: list[Path]
) -> None:
    pixels = pixel_values(noise(0))
    with torch.no_grad():
        expected = reference.get_image_features(torch.from_numpy(pixels)).pooler_output.numpy()
    network = corrected(paths[0])
    assert network is not None
    errors = []
    for source in (str(paths[0]), network):
        session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"pixel_values": pixels})
        assert found.shape == expected.shape == (1, 577, 16)
        errors.append(np.abs(found - expected).max())
    assert errors[1] < 1e-3
    assert errors[0] > 20 * errors[1]


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_has_the_tokens_of_transformers(
    reference: Any, paths: list[Path], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = noise(seed)
    prompt = make_tokenizer().encode("What does the image describe?").ids
    ids = torch.tensor([[IMAGE_TOKEN] * 577 + prompt])
    expected = reference.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=torch.from_numpy(pixel_values(rgb)),
        num_beams=3,
        no_repeat_ngram_size=3,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        decoder_start_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
        early_stopping=True,
        max_new_tokens=LONGEST,
        max_length=None,
        do_sample=False,
    )[0].tolist()
    found = []

    def recorded(decoder: Any, rules: Any) -> list[int]:
        assert rules.longest == LONGEST
        found.extend(search(decoder, rules))
        return found

    monkeypatch.setattr(florence2, "search", recorded)
    monkeypatch.setattr(florence2, "_CAPTION", replace(florence2._CAPTION, longest=LONGEST))
    Florence2Captioning(Florence2(paths, DeviceConfig())).caption(rgb)
    assert [2, *found, 2] == expected
    assert len(found) > 3
