"""Tiny SDXL repositories with random weights, in hub layout, for tests and profile `tiny`."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from models.backends.diffusion.adapters import LORA_FILE
from models.backends.torch.loading import LOADING

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
_WIDTH = 32
_END = "<|endoftext|>"
_TOKENS = 4
"""Number of tokens that IP-Adapter makes from a picture."""


def make_tiny(folder: Path, channels: int = 9) -> None:
    """Write an SDXL inpainting repository for 64x64 pictures: 1 MB, the same every time.

    channels: of the UNet's input: 9 as in inpainting models, or 4 as in all others.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe = _DIFFUSERS.StableDiffusionXLInpaintPipeline(
            vae=vae(),
            text_encoder=CLIPTextModel(text_config()),
            text_encoder_2=CLIPTextModelWithProjection(text_config()),
            tokenizer=tokenizer(),
            tokenizer_2=tokenizer(),
            unet=_unet(channels),
            scheduler=_DIFFUSERS.EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
            ),
            add_watermarker=False,
        )
        pipe.save_pretrained(folder, safe_serialization=True)


def make_tiny_vae(folder: Path) -> None:
    """Write a VAE of other random weights, which needs no float32, in the layout of sdxl-vae-fp16-fix."""
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        vae(force_upcast=False).save_pretrained(folder, safe_serialization=True)


def make_tiny_lora(folder: Path) -> None:
    """Write a LoRA for the tiny UNet's attention layers, under the file name that hub repositories use."""
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        unet = _unet(9)
        unet.add_adapter(
            LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False), "default"
        )
        _DIFFUSERS.StableDiffusionXLInpaintPipeline.save_lora_weights(
            folder, unet_lora_layers=get_peft_model_state_dict(unet), weight_name=LORA_FILE
        )


def make_tiny_ip_adapter(folder: Path) -> None:
    """Write an IP-Adapter for the tiny UNet with its image encoder, in the layout of h94/IP-Adapter."""
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        config = CLIPVisionConfig(
            hidden_size=_WIDTH,
            intermediate_size=_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
            projection_dim=_WIDTH,
        )
        CLIPVisionModelWithProjection(config).save_pretrained(folder / "models" / "image_encoder")
        cross_width = 2 * _WIDTH
        weights = {
            "image_proj.proj.weight": torch.randn(_TOKENS * cross_width, _WIDTH),
            "image_proj.proj.bias": torch.randn(_TOKENS * cross_width),
            "image_proj.norm.weight": torch.ones(cross_width),
            "image_proj.norm.bias": torch.zeros(cross_width),
        }
        modules: dict[str, Any] = dict(_unet(9).named_modules())
        for number, name in enumerate(_unet(9).attn_processors):
            if "attn2" not in name:
                continue
            features = modules[name.removesuffix(".processor")].to_k.out_features
            for matrix in ("k", "v"):
                key = f"ip_adapter.{number}.to_{matrix}_ip.weight"
                weights[key] = torch.randn(features, cross_width)
        (folder / "sdxl_models").mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors")


def _unet(channels: int) -> Any:
    return _DIFFUSERS.UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + _WIDTH,
        cross_attention_dim=2 * _WIDTH,
    )


def vae(force_upcast: bool = True) -> Any:
    """Return a VAE of random weights that makes one latent of 8 x 8 pixels.

    force_upcast: whether diffusers runs it in float32 where the rest is in float16.
    """
    return _DIFFUSERS.AutoencoderKL(
        force_upcast=force_upcast,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=64,
    )


def _vocabulary() -> dict[str, int]:
    """Return CLIP's byte tokens, inside and at the end of a word: different texts get different tokens."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", _END]
    return {word: number for number, word in enumerate(words)}


def tokenizer() -> Any:
    """Return a tokenizer with a token for each byte."""
    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77, pad_token=_END)


def text_config() -> CLIPTextConfig:
    """Return the configuration of a text encoder for `tokenizer`."""
    words = _vocabulary()
    return CLIPTextConfig(
        vocab_size=len(words),
        bos_token_id=words["<|startoftext|>"],
        eos_token_id=words[_END],
        pad_token_id=words[_END],
        hidden_size=_WIDTH,
        intermediate_size=_WIDTH,
        projection_dim=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
