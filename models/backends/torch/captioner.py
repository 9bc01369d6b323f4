"""The captioning model: BLIP says in one sentence what a picture shows.

Li, Li, Xiong and Hoi, "BLIP: Bootstrapping Language-Image Pre-training", ICML 2022; the weights are
Salesforce/blip-image-captioning-large (BSD-3-Clause), run by transformers' own class. Not run on full
weights: tests use a tiny model.
"""

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    BlipTextConfig,
    BlipVisionConfig,
)

from imaging.picture import Rgb
from models.backends.torch.checkpoints import first_line
from models.backends.torch.loading import LOADING
from models.backends.torch.pretrained import load_pretrained, torch_dtype
from models.backends.torch.residence import DeviceModule
from models.device import DeviceConfig
from models.errors import BadWeightsError

_NEW_TOKENS = 40
"""A caption of BLIP's training data has ten words; more are repetitions."""
_BEAMS = 3
_WORK_SIDE = 768
"""Pixels: larger pictures are reduced to it by area first, as the processor's own reduction to 384
takes as long as the model for a picture of 12 MP."""
_START = re.compile(r"^(?:ara(?:ff?ed|ffe)|there (?:is|are))\s+", re.IGNORECASE)
"""BLIP-large's habit: "arafed", a word of its training data that means nothing, and "there is"."""


class Captioner:
    """Fulfils the role `models.roles.Captioning`; safe to call from several threads."""

    def __init__(self, folder: Path, device_config: DeviceConfig) -> None:
        """Load from a folder in Hugging Face layout; raises BadWeightsError."""
        dtype = torch_dtype(device_config)
        model = load_pretrained(BlipForConditionalGeneration, folder, dtype)
        try:
            with LOADING:
                self._processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadWeightsError(f"{folder} has no processor: {first_line(error)}") from error
        self._module = DeviceModule(model, device_config, dtype)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: a repository in hub layout."""
        return cls(paths[0], device_config)

    def caption(self, rgb: Rgb) -> str:
        """Give one English sentence, without a full stop; the same picture gives the same sentence."""
        scale = _WORK_SIDE / max(rgb.shape[:2])
        if scale < 1:
            size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(rgb.dtype)
        # As a picture: an array may be read-only, of which torch makes no tensor.
        shown = Image.fromarray(rgb)
        pixels = self._processor.image_processor(images=shown, return_tensors="pt")["pixel_values"]
        with self._module.on_device() as model:
            tokens = model.generate(
                pixel_values=pixels.to(self._module.device, self._module.dtype),
                do_sample=False,
                num_beams=_BEAMS,
                max_new_tokens=_NEW_TOKENS,
            )
        words = tokens[0, 1:]  # the first token says that a caption begins
        return sentence(self._processor.tokenizer.decode(words, skip_special_tokens=True))


def sentence(text: str) -> str:
    """Give a model's caption on one line, without its full stop and its meaningless first words."""
    return _START.sub("", " ".join(text.split())).rstrip(" .")


def make_tiny(folder: Path) -> None:
    """Write a random model of the real classes, 0.3 MB, 32 x 32 px, in Hugging Face layout.

    Its weights are drawn wide: drawn as usual, it would say the same of every picture.
    """
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *string.ascii_lowercase]
    words += [f"##{letter}" for letter in string.ascii_lowercase]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    image_processor = BlipImageProcessor(size={"height": 32, "width": 32})
    text = BlipTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        encoder_hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.5,
        max_position_embeddings=64,
        bos_token_id=5,
        eos_token_id=3,
        sep_token_id=3,
        pad_token_id=0,
    )
    vision = BlipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.5,
        image_size=32,
        patch_size=8,
    )
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BlipConfig(
            text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16
        )
        BlipForConditionalGeneration(config).save_pretrained(folder)
    processor: Any = BlipProcessor  # untyped
    processor(image_processor, tokenizer).save_pretrained(folder)
