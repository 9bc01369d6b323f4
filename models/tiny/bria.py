"""Tiny repositories of BRIA 2.3 with random weights, in the layouts of the hub, pickles included."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file

from models.backends.diffusion.bria_base import CHANNELS, FUSED
from models.backends.torch.loading import LOADING
from models.tiny import lama, sdxl

_DIFFUSERS: Any = diffusers
"""As Any, because the constructors have no types."""
PICKLE = "diffusion_pytorch_model.bin"
"""The file name of the weights of BRIA's ControlNets."""


def make_tiny(folder: Path) -> None:
    """Write briaai/erase without LaMa: the fused base, its VAE and the eraser, 2.3 MB."""
    fused = folder / FUSED
    sdxl.make_tiny(fused, channels=4)
    shutil.move(fused / "vae", folder / "vae")
    _make_controlnet(folder / "controlnet_xl_eraser", 4)


def make_tiny_control(folder: Path) -> None:
    """Write one of the repositories briaai/BRIA-2.3-ControlNet-*."""
    _make_controlnet(folder, 3)


def make_tiny_expansion(folder: Path) -> None:
    """Write briaai/Expansion with its ControlNet alone."""
    _make_controlnet(folder / "controlnet_expansion", 5)


def make_tiny_slow(folder: Path) -> None:
    """Write the UNet of briaai/BRIA-2.3, of other weights than those of the fused base."""
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        _unet().save_pretrained(folder / "unet")


def make_tiny_image_prompt(folder: Path) -> None:
    """Write briaai/Image-Prompt: an IP-Adapter as one pickle of two dictionaries, and its image encoder."""
    models = folder / "models"
    models.mkdir(parents=True)
    parts: dict[str, dict[str, torch.Tensor]] = {}
    with TemporaryDirectory() as temporary:
        made = Path(temporary)
        sdxl.make_tiny_ip_adapter(made)
        shutil.move(made / "models" / "image_encoder", models / "image_encoder")
        adapter = load_file(made / "sdxl_models" / "ip-adapter_sdxl_vit-h.safetensors")
    for name, tensor in adapter.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    torch.save(parts, models / "ip_adapter_bria.bin")


def make_repositories(folder: Path) -> None:
    """Write all of them: `erase`, `control`, `expansion`, `slow`, `prompt`, and LaMa as `lama`; 4.5 MB."""
    make_tiny(folder / "erase")
    make_tiny_control(folder / "control")
    make_tiny_expansion(folder / "expansion")
    make_tiny_slow(folder / "slow")
    make_tiny_image_prompt(folder / "prompt")
    lama.make_tiny(folder / "lama")


def _unet() -> Any:
    """Return a UNet of the size of the tiny base's."""
    kind = _DIFFUSERS.UNet2DConditionModel
    with TemporaryDirectory() as temporary:
        sdxl.make_tiny(Path(temporary), channels=4)
        return kind.from_config(kind.load_config(Path(temporary) / "unet"))


def _make_controlnet(folder: Path, seed: int) -> None:
    """Write a ControlNet for the base, as a pickle.

    Its last layers are random: they would be zero before training.
    """
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _DIFFUSERS.ControlNetModel.from_unet(
            _unet(),
            conditioning_channels=CHANNELS,
            conditioning_embedding_out_channels=(4, 8, 8, 8),
        )
        for tensor in network.parameters():
            if not tensor.any():
                torch.nn.init.normal_(tensor, std=2.0)
        network.save_config(folder)
        torch.save(dict(network.state_dict()), folder / PICKLE)
