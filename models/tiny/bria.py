"""Tiny BRIA 2.3 repositories with random weights: a four-channel SDXL, its LoRA and a ControlNet."""

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from models.backends.diffusion.latent_control import CHANNELS
from models.backends.torch.loading import LOADING
from models.tiny import sdxl


def make_tiny(folder: Path) -> None:
    """Write `base`, `controlnet` and `lora` to `folder`: tiny models of the real classes, 3 MB."""
    sdxl.make_tiny(folder / "base", channels=4)
    sdxl.make_tiny_lora(folder / "lora")
    _make_tiny_controlnet(folder / "base", folder / "controlnet")


def _make_tiny_controlnet(base: Path, folder: Path) -> None:
    """Write a ControlNet for a base.

    Its last layers are random: they would be zero before training.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        kind: Any = UNet2DConditionModel  # untyped
        unet = kind.from_config(kind.load_config(base / "unet"))
        network = ControlNetModel.from_unet(
            unet,
            conditioning_channels=CHANNELS,
            conditioning_embedding_out_channels=(4, 8, 8, 8),
        )
        for tensor in network.parameters():
            if not tensor.any():
                torch.nn.init.normal_(tensor, std=2.0)
        network.save_pretrained(folder)
