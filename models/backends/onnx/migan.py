"""Inpainting with MI-GAN, a small network for phones: quick and light, best in small holes.

A. Sargsyan et al., "MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices", ICCV 2023.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Mask, Rgb
from models.backends.onnx.hole_filling import SIDE, fill_holes
from models.backends.onnx.network import FixedNetwork
from models.backends.weight_files import only_file
from models.device import DeviceConfig

_HOLE, _KNOWN = 0, 255
"""Values of the mask, as in scripts/create_onnx_pipeline.py of the repository Picsart-AI-Research/MI-GAN."""


class MiGan:
    """Implements the role `models.roles.Inpainting` with the file migan_pipeline_v2.onnx.

    The file takes bytes, `image` 1 x 3 x H x W (RGB, 0..255) and `mask` 1 x 1 x H x W (0 in the
    hole, 255 elsewhere), and returns bytes like `image`. Inside it crops, resizes to 512 x 512 and
    blends; here it gets crops of that size.
    """

    def __init__(self, file: Path, threads: int = 1) -> None:
        """Load `file`. threads: CPU threads of one call. Raises BadWeightsError that names the file."""
        shape = (1, None, None)
        self._network = FixedNetwork(
            file,
            {"image": (np.uint8, (1, 3, *shape[1:])), "mask": (np.uint8, (1, 1, *shape[1:]))},
            threads,
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: one file, or its folder."""
        return cls(only_file(paths[0]), device_config.threads)

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see `models.roles.Inpainting`."""
        return fill_holes(rgb, hole, avoid, self._run)

    def _run(self, rgb: Rgb, hidden: Mask) -> Rgb:
        """Fill a square.

        The file blends the rim of its fill, over two pixels, with what the picture has in the hole.
        So the hole gets the colours of the nearest known pixels; the network itself does not see
        them.
        """
        known = rgb if hidden.all() else fill_from_nearest(rgb, ~hidden, hidden)
        picture = np.ascontiguousarray(known.transpose(2, 0, 1)[None])
        mask = np.where(hidden, np.uint8(_HOLE), np.uint8(_KNOWN))
        output = self._network.output(
            {"image": picture, "mask": mask[None, None]}, (1, 3, SIDE, SIDE)
        )
        return np.asarray(output[0].transpose(1, 2, 0), np.uint8)
