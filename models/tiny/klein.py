"""A tiny FLUX.2 klein with random weights, in the hub layout of black-forest-labs/FLUX.2-klein-4B."""

import re
from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from models.backends.torch.loading import LOADING
from models.tiny import qwen_tokenizer

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
_NORM = re.compile(r"norm_(q|k|added_q|added_k)\.")
"""The norms of queries and keys: scaling them sharpens the attention."""
_WIDTH = 32
_LATENTS = 4
_LAYERS = 28
"""Of the text encoder: the pipeline takes the hidden states 9, 18 and 27, the last before its final norm."""


def make_tiny(folder: Path, distilled: bool = True) -> None:
    """Write a Flux2KleinPipeline: 2 MB, the same every time.

    distilled: as the published klein-4B is; klein-base-4B is not.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = _DIFFUSERS.Flux2KleinPipeline(
            scheduler=_scheduler(),
            vae=_vae(),
            text_encoder=_text_encoder(),
            tokenizer=qwen_tokenizer.tokenizer(),
            transformer=_transformer(),
            is_distilled=distilled,
        )
        # In shards, as the published text encoder is.
        pipe.save_pretrained(folder, safe_serialization=True, max_shard_size="300KB")
    index = folder / "model_index.json"
    # The published index has the name of transformers 4. It is the same class.
    index.write_text(index.read_text().replace('"Qwen2Tokenizer"', '"Qwen2TokenizerFast"'))


def _scheduler() -> Any:
    """Return the scheduler with the published configuration."""
    return _DIFFUSERS.FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
    )


def _text_encoder() -> Any:
    """Return a Qwen3 with tied embeddings, as in the published one."""
    kind: Any = Qwen3ForCausalLM
    return kind(
        Qwen3Config(
            vocab_size=qwen_tokenizer.VOCABULARY_SIZE,
            hidden_size=_WIDTH,
            intermediate_size=_WIDTH,
            num_hidden_layers=_LAYERS,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=_WIDTH // 2,
            initializer_range=0.2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        )
    )


def _transformer() -> Any:
    """Return a transformer whose result depends on the words and the pictures.

    Its weights have a wide distribution, and its attention is sharp. With the usual ones, all
    prompts would give the same picture.
    """
    model = _DIFFUSERS.Flux2Transformer2DModel(
        in_channels=4 * _LATENTS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * _WIDTH,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(3.0 if _NORM.search(name) else 2.0)
    return model


def _vae() -> Any:
    """Return a VAE of random weights that makes one latent of 8 x 8 pixels."""
    return _DIFFUSERS.AutoencoderKLFlux2(
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=_LATENTS,
        sample_size=64,
    )
