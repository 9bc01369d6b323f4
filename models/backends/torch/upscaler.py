"""Super-resolution with any network that spandrel knows, in tiles.

Run here on random weights only, not on published ones nor on a GPU.
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
from models.backends.torch.checkpoints import first_line, read_state
from models.backends.torch.loading import LOADING
from models.backends.torch.residence import DeviceModule
from models.backends.weight_files import only_file
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError

FACTORS = (2, 4)
SCALES = (2, 4, 8)
MARGIN = 32
"""Pixels of the picture given with each tile on every side. Of Real-ESRGAN's RRDBNet more is within
reach, yet what lies further off hardly matters; windows of attention (8 or 16) keep their places."""
TILE = 256


class Upscaler:
    """Fulfils the role `models.roles.SuperResolution`.

    What the network makes of a tile is brought in line with the picture by one back-projection step
    (M. Irani and S. Peleg, "Improving resolution by image registration", 1991), so that it keeps
    the colours. Float16 and bfloat16 are used on a GPU where the architecture can take them.
    """

    def __init__(
        self, file: Path, device_config: DeviceConfig | None = None, *, tile: int = TILE
    ) -> None:
        """Load a `.safetensors` or `.pth` file; the architecture is told from its tensors.

        tile: side in pixels of the given picture that the network sees at once, margins included, a
        multiple of 32. Raises BadWeightsError naming the file.
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
        """Load the model of a card; paths: one file or the folder that holds it."""
        return cls(only_file(paths[0]), device_config)

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` at `factor` (2 or 4) times its width and height.

        A network of a larger factor is averaged down; one of a smaller is run twice. Beside the
        result, memory is that of one tile. Raises ValueError for another factor, and WorkCancelledError between
        two tiles once nobody waits any more.
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
            place = result[top * factor :, left * factor :]
            large = self._enlarge(tile, factor)[inner, inner]
            rows, columns = (min(a, b) for a, b in zip(place.shape[:2], large.shape, strict=False))
            place[:rows, :columns] = large[:rows, :columns]
        return result

    def _enlarge(self, tile: Rgb, factor: int) -> Rgb:
        """Enlarge a tile, margins included."""
        device, dtype = self._module.device, self._module.dtype
        with self._module.on_device():
            # The descriptor runs the resident network, with what its architecture wants around it.
            small = torch.from_numpy(tile).to(device).permute(2, 0, 1)[None].float() / 255
            large: Tensor = self._network(small.to(dtype)).float()
            large = functional.avg_pool2d(large, self._scale // factor)
            missing = small - functional.avg_pool2d(large, factor)
            large += functional.interpolate(missing, scale_factor=factor, mode="bicubic")
            pixels = large[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().to(torch.uint8)
            return np.asarray(pixels.cpu().numpy(), np.uint8)


def _tiles(rgb: Rgb, side: int) -> Iterator[tuple[int, int, Rgb]]:
    """Cut a picture into squares of one size that overlap by their margins.

    Gives the corner of what lies within the margins, and the square, the picture mirrored beyond
    its edges. One size spares the GPU another plan for every picture; only a picture smaller than
    a square gets less.
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
    """Tell the architecture from the file's tensors, and build it with them."""
    state = canonicalize_state_dict(read_state(file))
    try:
        with LOADING:
            network = ModelLoader().load_from_state_dict(state)
    except UnsupportedModelError as error:
        raise BadWeightsError(f"{file} is of no architecture that spandrel knows") from error
    except (RuntimeError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise BadWeightsError(f"{file} does not fit: {first_line(error)}") from error
    if not isinstance(network, ImageModelDescriptor) or network.scale not in SCALES:
        raise BadWeightsError(f"{file} is no network that enlarges 2, 4 or 8 times")
    if (network.input_channels, network.output_channels) != (3, 3):
        raise BadWeightsError(f"{file} does not take and give RGB")
    return network


def _dtype(network: ImageModelDescriptor[nn.Module], device_config: DeviceConfig) -> torch.dtype:
    """Return the dtype asked for if the network takes it; processors are slower with less."""
    if device_config.device.startswith("cuda"):
        if device_config.dtype == "float16" and network.supports_half:
            return torch.float16
        if device_config.dtype == "bfloat16" and network.supports_bfloat16:
            return torch.bfloat16
    return torch.float32
