"""A tiny LaMa with random weights: a TorchScript archive with the interface of the published one."""

import warnings
from pathlib import Path
from typing import Any, cast

import torch
from spandrel.architectures.LaMa.__arch.LaMa import FFCResNetGenerator
from torch import Tensor, nn

from models.backends.torch.loading import LOADING

_jit: Any = torch.jit


class _Tiny(nn.Module):
    """LaMa's generator with few channels, and the interface of the published archive."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = FFCResNetGenerator(4, 3, ngf=8, n_downsampling=3, n_blocks=1)

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        mask = (mask > 0).to(picture.dtype)
        generated = self.generator(picture * (1 - mask), mask)
        return cast(Tensor, mask * generated + (1 - mask) * picture)


def make_tiny(folder: Path) -> None:
    """Write `tiny-lama.pt`: a few of LaMa's own layers with random weights, as a TorchScript archive."""
    folder.mkdir(parents=True, exist_ok=True)
    with LOADING, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Torch has deprecated the format, but LaMa is only published in it.
        warnings.filterwarnings("ignore", "`torch.jit")
        torch.manual_seed(0)
        network = _Tiny().eval()
        example = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64, dtype=torch.int64)
        script = _jit.trace(network, example, check_trace=False)
        _jit.save(script, str(folder / "tiny-lama.pt"))
