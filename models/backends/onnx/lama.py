"""Inpainting with LaMa in an ONNX file, without torch.

R. Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022.
Not tested with the published file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from imaging.picture import Mask, Rgb
from models.backends.onnx.hole_filling import SIDE, fill_holes
from models.backends.onnx.network import Array, FixedNetwork
from models.backends.weight_files import only_file
from models.device import DeviceConfig
from models.errors import BadWeightsError

_LEVELS = 255
_UNIT_RANGE = 2.0
"""A picture whose largest value is below it has the range 0..1, not 0..255."""


class OnnxLama:
    """Implements the role `models.roles.Inpainting` with the file lama_fp32.onnx of Carve/LaMa-ONNX.

    The file takes `image` 1 x 3 x 512 x 512 (RGB, 0..1) and `mask` 1 x 1 x 512 x 512 (1.0 in the
    hole, 0.0 elsewhere), and returns a picture of 0..255, as the repository's own example writes it
    to a file without scaling.
    """

    def __init__(self, file: Path, threads: int = 1) -> None:
        """Load `file`. threads: CPU threads of one call. Raises BadWeightsError that names the file."""
        self._network = FixedNetwork(
            file,
            {"image": (np.float32, (1, 3, SIDE, SIDE)), "mask": (np.float32, (1, 1, SIDE, SIDE))},
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
        picture = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32)
        picture /= _LEVELS
        mask = hidden[None, None].astype(np.float32)
        output = self._network.output({"image": picture, "mask": mask}, picture.shape)
        return self._levels(output[0], rgb)

    def _levels(self, output: Array, known: Rgb) -> Rgb:
        """Return the network's picture, 3 x height x width, as levels.

        known: what the network was given. Raises BadWeightsError if the range is 0..1, which only
        shows if `known` is not black, or if there is a value that is no number.
        """
        brightest = float(output.max())
        if not np.isfinite(output).all() or (brightest < _UNIT_RANGE <= int(known.max())):
            raise BadWeightsError(
                f"{self._network.file} returns a picture of at most {brightest:.2f}, not of 0..255"
            )
        levels = np.rint(output.transpose(1, 2, 0).clip(0, _LEVELS))
        return np.asarray(levels, np.uint8)
