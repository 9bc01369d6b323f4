"""A tiny BLIP with random weights, in hub layout."""

import string
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    BlipTextConfig,
    BlipVisionConfig,
)

from models.backends.torch.loading import LOADING


def make_tiny(folder: Path) -> None:
    """Write a random model of the real classes in hub layout: 0.3 MB, for 32 x 32 pixels.

    Its weights have a wide distribution. With the usual one, the caption of every picture would be
    the same.
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
