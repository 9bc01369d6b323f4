"""Super-resolution with realesr-general-x4v3, which was trained on degraded photographs, on onnxruntime.

The network (X. Wang et al., "Real-ESRGAN", 2021) removes what JPEG and sensors leave: blocks,
ringing and noise. So its result must not be made equal to the small photograph, as that of
`models.backends.ncnn.realesrgan` is: that would bring the blocks back. Only the colours of wide
areas are kept. Not tested with the published files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.onnx.network import FixedNetwork
from models.backends.onnx.srvgg import FACTOR, compact_network
from models.backends.tiles import enlarge_by_tiles
from models.device import DeviceConfig

_SPREAD = 4.0
"""Standard deviation, in pixels, of the areas whose mean colour stays: JPEG's blocks are 8 wide."""
_RADIUS = 12
"""Pixels that such an area reaches."""
MARGIN = 36
"""Pixels of context around each tile: the reach of the 34 convolutions, and of the resampling. The
areas of the colours reach into it, where the network's result is nearly right: enough for means."""
Pixels = NDArray[np.float32]


class RealEsrGeneral:
    """Implements the role `models.roles.SuperResolution`."""

    def __init__(
        self, files: Sequence[Path], denoise: float = 0.5, threads: int = 1, tile: int = 256
    ) -> None:
        """Load two torch files, realesr-general-x4v3.pth and realesr-general-wdn-x4v3.pth.

        The second keeps the noise (Real-ESRGAN's "weak denoise"). denoise: share of the first, 0..1;
        inference_realesrgan.py has 0.5 by default. threads: number of tiles processed at once, each
        on one CPU thread. tile: side of a tile in pixels of the original. Raises BadWeightsError
        that names the file.
        """
        network = compact_network(files, (denoise, 1 - denoise))
        self._network = FixedNetwork(
            files[0],
            {"picture": (np.float32, (1, 3, None, None))},
            threads=1,
            content=network,
            keeps_memory=True,
        )
        self._threads, self._tile = threads, tile

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, denoise: float = 0.5) -> Self:
        """Load the model of a card; paths: the two files. denoise: as in the constructor."""
        return cls(paths, denoise, threads=device_config.threads)

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged to `factor` (2 or 4) times its width and height.

        The network enlarges 4 times; for 2, its result is averaged. In addition to the result, each
        thread needs about 180 MB for its tile. Raises ValueError for another factor. Raises
        WorkCancelledError, between two tiles, if nobody waits any more.
        """
        return enlarge_by_tiles(
            rgb, factor, self._enlarge, tile=self._tile, margin=MARGIN, threads=self._threads
        )

    def _enlarge(self, tile: Rgb, factor: int) -> Rgb:
        """Enlarge a tile that has margins. Return it without them."""
        small = tile.astype(np.float32)
        height, width = tile.shape[:2]
        picture = np.ascontiguousarray(small.transpose(2, 0, 1)[None]) / np.float32(255)
        shape = (1, 3, height * FACTOR, width * FACTOR)
        output = self._network.output({"picture": picture}, shape)
        planes = np.ascontiguousarray(output[0].transpose(1, 2, 0)).clip(0, 1)
        large = _resized(planes * np.float32(255), (width * factor, height * factor))
        large += _colour_change(small, large)
        inner = slice(MARGIN * factor, -MARGIN * factor)
        return np.asarray(np.rint(large[inner, inner].clip(0, 255)), np.uint8)


def _colour_change(small: Pixels, large: Pixels) -> Pixels:
    """Return what `large` lacks of the mean colours of `small`, at the size of `large`."""
    height, width = small.shape[:2]
    missing = small - _resized(large, (width, height))
    side = (2 * _RADIUS + 1,) * 2
    smooth = cv2.GaussianBlur(missing, side, _SPREAD, borderType=cv2.BORDER_REFLECT_101)
    size = large.shape[1], large.shape[0]
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Average pixels down to `size` (width, height)."""
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
