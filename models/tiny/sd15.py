"""A tiny Stable Diffusion 1.5 inpainting repository and its LoRA, of random weights, in hub layout."""

from pathlib import Path
from typing import Any

import diffusers
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import CLIPTextModel

from models.backends.diffusion.adapters import LORA_FILE
from models.backends.torch.loading import LOADING
from models.tiny.sdxl import text_config, tokenizer, vae

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
_RANK = 2


def make_tiny(folder: Path) -> None:
    """Write an inpainting repository for 64 x 64 pictures: 1 MB, the same every time.

    As in the published one the weights are half precision files and the noise scheduler is PNDM; its
    safety checker is left out.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        pipe = _DIFFUSERS.StableDiffusionInpaintPipeline(
            vae=vae(),
            text_encoder=CLIPTextModel(text_config()),
            tokenizer=tokenizer(),
            unet=_unet(),
            scheduler=_DIFFUSERS.PNDMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                steps_offset=1,
                skip_prk_steps=True,
                set_alpha_to_one=False,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipe.to(torch.float16).save_pretrained(folder, safe_serialization=True, variant="fp16")


def make_tiny_lora(folder: Path) -> None:
    """Write a LoRA for the tiny UNet's attention layers, under the published name and in its layout.

    That is the layout of kohya's scripts: for each layer `lora_unet_NAME.lora_down.weight`,
    `.lora_up.weight` and `.alpha`.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        unet = _unet()
        layers = ["to_q", "to_k", "to_v", "to_out.0"]
        unet.add_adapter(LoraConfig(r=_RANK, target_modules=layers, init_lora_weights=False))
        weights: dict[str, torch.Tensor] = {}
        for key, tensor in get_peft_model_state_dict(unet).items():
            layer, _, part = key.removesuffix(".weight").rpartition(".")
            name = f"lora_unet_{layer.replace('.', '_')}"
            side = {"lora_A": "lora_down", "lora_B": "lora_up"}[part]
            weights[f"{name}.{side}.weight"] = tensor.contiguous()
            weights[f"{name}.alpha"] = torch.tensor(float(_RANK))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / LORA_FILE)


def _unet() -> Any:
    """Return a UNet of the same blocks as the published one, which halves the latents three times."""
    return _DIFFUSERS.UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        attention_head_dim=4,
        cross_attention_dim=text_config().hidden_size,
    )
