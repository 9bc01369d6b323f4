"""Super-resolution with any network that spandrel knows, tile by tile.

Only tested with random weights: not with published ones, and not on a GPU.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from spandrel import (
    ImageModelDescriptor,
    ModelLoader,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from torch import Tensor, nn
from torch.nn import functional

from imaging.picture import Rgb
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
TILE = 256
"""Side of a tile with its margins, in pixels."""


class Upscaler:
    """Implements the role `models.roles.SuperResolution`.

    One back-projection step makes the network's result consistent with the picture, so that colours
    do not change (M. Irani and S. Peleg, "Improving resolution by image registration", 1991). On a
    GPU, float16 and bfloat16 are used if the architecture supports them.
    """

    def __init__(
        self, file: Path, device_config: DeviceConfig | None = None, *, tile: int = TILE
    ) -> None:
        """Load a `.safetensors` or `.pth` file. Its tensors show the architecture.

        tile: side of a tile with its margins, in pixels of the original, a multiple of 32 above 64.
        Raises BadWeightsError that names the file, and ValueError for a wrong tile.
        """
        if tile % MARGIN or tile <= 2 * MARGIN:
            raise ValueError(f"tile {tile} is not a multiple of {MARGIN} above {2 * MARGIN}")
        device_config = device_config or DeviceConfig()
        self._tile = tile
        self._network = _load(file)
        self._scale = self._network.scale
        dtype = _dtype(self._network, device_config)
        self._module: DeviceModule[nn.Module] = DeviceModule(
            self._network.model, device_config, dtype
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: one file, or its folder."""
        return cls(only_file(paths[0]), device_config)

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged to `factor` (2 or 4) times its width and height.

        If the network has a larger factor, its result is averaged down; with a smaller one, it runs
        twice. In addition to the result, memory for one tile is needed. Raises ValueError for
        another factor. Raises WorkCancelledError, between two tiles, if nobody waits any more.
        """
        if factor not in FACTORS:
            raise ValueError(f"factor {factor} is not one of {FACTORS}")
        if factor > self._scale:
            return self.upscale(self.upscale(rgb, self._scale), factor // self._scale)
        height, width = rgb.shape[:2]
        result = np.empty((height * factor, width * factor, 3), np.uint8)
        inner = slice(MARGIN * factor, -MARGIN * factor)
        for top, left, tile in _tiles(rgb, self._tile):
            checkpoint()
            target = result[top * factor :, left * factor :]
            large = self._enlarge(tile, factor)[inner, inner]
            rows, columns = (min(a, b) for a, b in zip(target.shape[:2], large.shape, strict=False))
            target[:rows, :columns] = large[:rows, :columns]
        return result

    def _enlarge(self, tile: Rgb, factor: int) -> Rgb:
        """Enlarge a tile, margins included."""
        device, dtype = self._module.device, self._module.dtype
        with self._module.on_device():
            # The descriptor runs the module's network, with the pre- and postprocessing of its
            # architecture.
            small = torch.from_numpy(tile).to(device).permute(2, 0, 1)[None].float() / 255
            large: Tensor = self._network(small.to(dtype)).float()
            large = functional.avg_pool2d(large, self._scale // factor)
            missing = small - functional.avg_pool2d(large, factor)
            large += functional.interpolate(missing, scale_factor=factor, mode="bicubic")
            pixels = large[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().to(torch.uint8)
            return np.asarray(pixels.cpu().numpy(), np.uint8)


def _tiles(rgb: Rgb, side: int) -> Iterator[tuple[int, int, Rgb]]:
    """Cut a picture into squares of one size that overlap by their margins.

    Yield the upper left corner of the part inside the margins (top, left), and the square with its
    margins. The picture is mirrored beyond its edges. With one size, the GPU needs no new plan for
    every picture; only a picture that is smaller than a square gets a smaller one.
    """
    height, width = rgb.shape[:2]
    sides = [min(side, -(-(length + 2 * MARGIN) // MARGIN) * MARGIN) for length in (height, width)]
    steps = [length - 2 * MARGIN for length in sides]
    for top in range(0, height, steps[0]):
        for left in range(0, width, steps[1]):
            bottom, right = top - MARGIN + sides[0], left - MARGIN + sides[1]
            cut = rgb[max(0, top - MARGIN) : bottom, max(0, left - MARGIN) : right]
            framed = cv2.copyMakeBorder(
                np.ascontiguousarray(cut),
                max(0, MARGIN - top),
                max(0, bottom - height),
                max(0, MARGIN - left),
                max(0, right - width),
                cv2.BORDER_REFLECT_101,
            )
            yield top, left, np.asarray(framed, np.uint8)


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
