"""BRIA 2.3 with its fast LoRA fused, which the roles of profile `bria` share, and its ControlNets."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionXLPipeline

from models.backends.diffusion import diffusion
from models.backends.diffusion.published import load_published
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig
from models.errors import BadWeightsError

FUSED = "BRIA-2.3-FAST-LORA-FUSED"
"""The base in the repository briaai/erase, as github.com/Bria-AI/BYOC names it."""
CHANNELS = 5
"""Channels of the control: four of the latents, and the mask."""


class BriaBase:
    """The base: an SDXL model with few steps, and the VAE beside it, which works in float16.

    folder: a repository with `BRIA-2.3-FAST-LORA-FUSED/` and `vae/`. Raises BadWeightsError.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig) -> None:
        with LOADING:
            vae = load_published(
                AutoencoderKL, folder / "vae", diffusion.torch_dtype(device_config)
            )
            self.pipe: Any = diffusion.load_pipeline(
                StableDiffusionXLPipeline, folder / FUSED, device_config, vae=vae
            )


def load_controlnet(folder: Path, dtype: torch.dtype) -> Any:
    """Load a ControlNet, with strides of 1 so that it keeps the size of its control; raises BadWeightsError."""
    network = load_published(ControlNetModel, folder, dtype)
    if network.config.conditioning_channels != CHANNELS:
        raise BadWeightsError(
            f"{folder}: a ControlNet that takes {network.config.conditioning_channels} channels "
            f"instead of {CHANNELS}, latents and a mask"
        )
    for layer in network.controlnet_cond_embedding.blocks:
        layer.stride = (1, 1)
    return network
