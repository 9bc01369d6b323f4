"""A tiny Qwen-Image-Edit with random weights, in the hub layout of Qwen/Qwen-Image-Edit-2511."""

import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from models.backends.torch.loading import LOADING
from models.tiny import qwen_tokenizer

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
_WIDTH = 32
_LATENTS = 4


def make_tiny(folder: Path) -> None:
    """Write a QwenImageEditPlusPipeline: 1 MB, the same every time."""
    words: Any = qwen_tokenizer.tokenizer()
    pictures: Any = Qwen2VLImageProcessor()
    processor: Any = Qwen2VLProcessor
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = _DIFFUSERS.QwenImageEditPlusPipeline(
            scheduler=_scheduler(),
            vae=_vae(),
            text_encoder=_text_encoder(words),
            tokenizer=words,
            processor=processor(pictures, words, Qwen2VLVideoProcessor()),
            transformer=_transformer(),
        )
        # In shards, as the published models are.
        pipe.save_pretrained(folder, safe_serialization=True, max_shard_size="200KB")
    # The published processor has one file for each of its parts.
    shutil.rmtree(folder / "processor")
    for part in (pictures, Qwen2VLVideoProcessor(), words):
        part.save_pretrained(folder / "processor")


def _scheduler() -> Any:
    """Return the scheduler with the published configuration."""
    return _DIFFUSERS.FlowMatchEulerDiscreteScheduler(
        base_shift=0.5,
        max_shift=0.9,
        max_image_seq_len=8192,
        shift=1.0,
        shift_terminal=0.02,
        use_dynamic_shifting=True,
    )


def _text_encoder(words: Any) -> Any:
    """Return a Qwen2.5-VL. Its weights have a wide distribution, so that texts and pictures differ."""
    kind: Any = Qwen2_5_VLForConditionalGeneration
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 1,
        "out_hidden_size": _WIDTH,
        "fullatt_block_indexes": [1],
        "initializer_range": 0.2,
    }
    text = {
        "vocab_size": qwen_tokenizer.VOCABULARY_SIZE,
        "hidden_size": _WIDTH,
        "intermediate_size": _WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    return kind(
        Qwen2_5_VLConfig(
            text_config=text,
            vision_config=vision,
            **{f"{name}_token_id": words.convert_tokens_to_ids(token) for name, token in _VISION},
        )
    )


_VISION = (
    ("image", "<|image_pad|>"),
    ("video", "<|video_pad|>"),
    ("vision_start", "<|vision_start|>"),
    ("vision_end", "<|vision_end|>"),
)


def _transformer() -> Any:
    """Return a transformer whose result depends on the words and the pictures.

    Its weights have a wide distribution, and its attention is sharp. With the usual ones, all
    prompts would give the same picture.
    """
    model = _DIFFUSERS.QwenImageTransformer2DModel(
        in_channels=4 * _LATENTS,
        out_channels=_LATENTS,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_WIDTH,
        axes_dims_rope=(4, 6, 6),
        zero_cond_t=True,
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0)
    return model


def _vae() -> Any:
    """Return a VAE of random weights that makes one latent of 8 x 8 pixels."""
    model = _DIFFUSERS.AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=_LATENTS,
        num_res_blocks=1,
        latents_mean=[0.0] * _LATENTS,
        latents_std=[1.0] * _LATENTS,
    )
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(2.0)
    return model
