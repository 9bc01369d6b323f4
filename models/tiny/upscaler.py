"""Tiny upscalers with random weights: Real-ESRGAN's compact network, for four times and for twice the size."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from models.backends.torch.loading import LOADING


def make_tiny(folder: Path) -> None:
    """Write `tiny-x4.safetensors`: a small version of Real-ESRGAN's compact network, random weights."""
    _make(folder, 4)


def make_tiny_x2(folder: Path) -> None:
    """Write `tiny-x2.safetensors`, the same network for twice the size."""
    _make(folder, 2)


def _make(folder: Path, scale: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Compact(num_feat=8, num_conv=2, upscale=scale)
        state = {name: value * 0.3 for name, value in network.state_dict().items()}
    save_file(state, folder / f"tiny-x{scale}.safetensors")
