"""A tiny Fibo-Edit with random weights, in the hub layout of briaai/Fibo-Edit-1.5-turbo."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import SmolLM3Config, SmolLM3ForCausalLM

from models.backends.torch.loading import LOADING
from models.tiny import qwen_tokenizer

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
_WIDTH = 32
_LATENTS = 48
_EMPTY_TEXT = 128_000
"""The token that the pipeline takes for an empty text (`get_prompt_embeds`), whatever the tokenizer."""


def make_tiny(folder: Path) -> None:
    """Write a BriaFiboEditPipeline: 18 MB, the same every time."""
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = _DIFFUSERS.BriaFiboEditPipeline(
            scheduler=_DIFFUSERS.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=_vae(),
            text_encoder=_text_encoder(),
            tokenizer=qwen_tokenizer.tokenizer(),
            transformer=_transformer(),
        )
        # In shards, as the published models are.
        pipe.save_pretrained(folder, safe_serialization=True, max_shard_size="2MB")


def _text_encoder() -> Any:
    """Return a SmolLM3. Its weights have a wide distribution, so that texts differ."""
    kind: Any = SmolLM3ForCausalLM
    return kind(
        SmolLM3Config(
            vocab_size=_EMPTY_TEXT + 1,
            hidden_size=_WIDTH,
            intermediate_size=_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=4096,
            initializer_range=0.2,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def _transformer() -> Any:
    """Return a transformer whose result depends on the words and the pictures.

    Its weights have a wide distribution. With the usual ones, all prompts would give the same picture.
    """
    model = _DIFFUSERS.BriaFiboTransformer2DModel(
        in_channels=_LATENTS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=2 * _WIDTH,
        text_encoder_dim=_WIDTH,
        axes_dims_rope=[4, 6, 6],
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0)
    return model


def _vae() -> Any:
    """Return a VAE of random weights that makes one latent of 16 x 16 pixels, of the published kind."""
    model = _DIFFUSERS.AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=_LATENTS,
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * _LATENTS,
        latents_std=[1.0] * _LATENTS,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    with torch.no_grad():
        model.decoder.conv_out.weight.mul_(4.0)
    return model
