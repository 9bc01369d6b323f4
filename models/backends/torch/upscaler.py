"""Super-resolution with any network that spandrel knows, tile by tile.

Only tested with random weights: not with published ones, and not on a GPU.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from spandrel import (
    ImageModelDescriptor,
    ModelLoader,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from torch import Tensor, nn
from torch.nn import functional

from imaging.picture import Rgb
from models.backends.even_tiles import cut, even_grid
from models.backends.torch.checkpoints import read_state
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.weight_files import first_line, only_file
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError

FACTORS = (2, 4)
SCALES = (2, 4, 8)
MARGIN = 32
"""Pixels of context on every side of a tile. Real-ESRGAN's RRDBNet reaches farther, but pixels
farther away hardly matter. It is a multiple of the attention windows (8 or 16), so that these keep
their position."""
MULTIPLE = 16
"""Sides of tiles are multiples of it, for the same reason."""
PIXELS_CPU, PIXELS_GPU = 256 * 256, 512 * 512
"""Pixels that a network gets at once, margins included: in one large tile or in several. On a GPU
Real-ESRGAN takes 4 kB for each in half precision."""


class Upscaler:
    """Implements the role `models.roles.SuperResolution`, with a network for each factor or one for both.

    One back-projection step makes a network's result consistent with the picture, so that colours
    do not change (M. Irani and S. Peleg, "Improving resolution by image registration", 1991). On a
    GPU, float16 and bfloat16 are used if the architecture supports them.
    """

    def __init__(
        self,
        *files: Path,
        device_config: DeviceConfig | None = None,
        pixels: int | None = None,
    ) -> None:
        """Load `.safetensors` or `.pth` files. Their tensors show the architecture.

        files: one for each scale, at least one. pixels: largest number that a network gets at once,
        margins included; by default 256 x 256 on the CPU and 512 x 512 on a GPU. Raises BadWeightsError
        that names a file.
        """
        device_config = device_config or DeviceConfig()
        is_gpu = device_config.device.startswith("cuda")
        self._pixels = pixels or (PIXELS_GPU if is_gpu else PIXELS_CPU)
        self._networks: dict[int, _Network] = {}
        for file in files:
            network = _Network(file, device_config)
            if network.scale in self._networks:
                raise BadWeightsError(f"{file}: another file enlarges {network.scale} times too")
            self._networks[network.scale] = network

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: each a file, or its folder."""
        return cls(*(only_file(path) for path in paths), device_config=device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return [module for each in self._networks.values() for module in each.module.networks()]

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged to `factor` (2 or 4) times its width and height.

        The network of that factor does it. Without one, the result of the next larger one is averaged
        down, or the largest runs twice. In addition to the result, memory for one batch of tiles is needed.
        Raises ValueError for another factor. Raises WorkCancelledError, between two batches, if nobody
        waits any more.
        """
        if factor not in FACTORS:
            raise ValueError(f"factor {factor} is not one of {FACTORS}")
        larger = [scale for scale in self._networks if scale >= factor]
        if not larger:
            scale = max(self._networks)
            return self.upscale(self.upscale(rgb, scale), factor // scale)
        return self._by_tiles(self._networks[min(larger)], rgb, factor)

    def _by_tiles(self, network: "_Network", rgb: Rgb, factor: int) -> Rgb:
        height, width = rgb.shape[:2]
        grid = even_grid(height, width, margin=MARGIN, multiple=MULTIPLE, pixels=self._pixels)
        result = np.empty(
            (grid.rows * grid.height * factor, grid.columns * grid.width * factor, 3), np.uint8
        )
        tiles = zip(grid.corners(), cut(rgb, grid), strict=True)
        while batch := list(itertools.islice(tiles, max(1, self._pixels // grid.tile_pixels))):
            checkpoint()
            enlarged = network.enlarge(np.stack([tile for _, tile in batch]), factor)
            for ((top, left), _), large in zip(batch, enlarged, strict=True):
                rows = slice(top * factor, top * factor + large.shape[0])
                result[rows, left * factor : left * factor + large.shape[1]] = large
        return result[: height * factor, : width * factor]


class _Network:
    """One network on its device. scale: how many times it enlarges."""

    def __init__(self, file: Path, device_config: DeviceConfig) -> None:
        self._descriptor = _load(file)
        self.scale = self._descriptor.scale
        dtype = _dtype(self._descriptor, device_config)
        self.module: DeviceModule[nn.Module] = DeviceModule(
            self._descriptor.model, device_config, dtype
        )

    def enlarge(self, tiles: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
        """Enlarge tiles, number x height x width x 3, and return them without their margins."""
        inner = slice(MARGIN * factor, -MARGIN * factor)
        with self.module.on_device():
            # The descriptor runs the module's network, with the pre- and postprocessing of its
            # architecture.
            pixels = torch.from_numpy(tiles).to(self.module.device)
            small = pixels.permute(0, 3, 1, 2).float() / 255
            large: Tensor = self._descriptor(small.to(self.module.dtype)).float()
            large = functional.avg_pool2d(large, self.scale // factor)
            missing = small - functional.avg_pool2d(large, factor)
            large += functional.interpolate(missing, scale_factor=factor, mode="bicubic")
            cut_off = large[..., inner, inner].permute(0, 2, 3, 1)
            rounded = cut_off.clamp(0, 1).mul(255).round().to(torch.uint8)
            return np.asarray(rounded.cpu().numpy(), np.uint8)


def _load(file: Path) -> ImageModelDescriptor[nn.Module]:
    """Build the network: spandrel finds the architecture that fits the file's tensors."""
    state = canonicalize_state_dict(read_state(file))
    try:
        with LOADING:
            network = ModelLoader().load_from_state_dict(state)
    except UnsupportedModelError as error:
        raise BadWeightsError(f"{file} has an architecture that spandrel does not know") from error
    except (RuntimeError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise BadWeightsError(f"{file} does not fit: {first_line(error)}") from error
    if not isinstance(network, ImageModelDescriptor) or network.scale not in SCALES:
        raise BadWeightsError(f"{file} is not a network that enlarges 2, 4 or 8 times")
    if (network.input_channels, network.output_channels) != (3, 3):
        raise BadWeightsError(f"{file} does not take and return RGB")
    return network


def _dtype(network: ImageModelDescriptor[nn.Module], device_config: DeviceConfig) -> torch.dtype:
    """Return the configured dtype if the network supports it on a GPU, else float32, as on the CPU."""
    if device_config.device.startswith("cuda"):
        if device_config.dtype == "float16" and network.supports_half:
            return torch.float16
        if device_config.dtype == "bfloat16" and network.supports_bfloat16:
            return torch.bfloat16
    return torch.float32
