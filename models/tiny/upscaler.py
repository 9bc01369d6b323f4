"""A tiny upscaler with random weights: Real-ESRGAN's compact network, which enlarges four times."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from models.backends.torch.loading import LOADING


def make_tiny(folder: Path) -> None:
    """Write `tiny-x4.safetensors`: a small version of Real-ESRGAN's compact network, random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Compact(num_feat=8, num_conv=2, upscale=4)
        state = {name: value * 0.3 for name, value in network.state_dict().items()}
    save_file(state, folder / "tiny-x4.safetensors")
