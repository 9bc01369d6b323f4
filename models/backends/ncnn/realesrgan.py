"""Super-resolution with a Real-ESRGAN network on ncnn, kept consistent with the original photograph.

The network (X. Wang et al., "Real-ESRGAN", 2021; the compact one is trained on animation) gives
sharp edges, but it shifts colours and removes soft texture. So only the detail of its luma is used.
Back-projection makes that consistent with the photograph (M. Irani and S. Peleg, "Improving
resolution by image registration", 1991). It is then added to a Lanczos enlargement, as far as the
photograph itself is sharp there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import ncnn
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.backends.tiles import enlarge_by_tiles
from models.device import DeviceConfig

Plane = NDArray[np.float32]

NET_FACTOR = 4
MARGIN = 18
"""Pixels of context around each tile. The compact network's 18 convolutions reach 18 pixels, but
the last 4 hardly matter. Back-projection reaches 4, the windows of `detail_share` 14. Seams stay
below one level of 0..255; networks that reach farther may show them more."""
BACK_PROJECTIONS = 2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class RealEsrgan:
    """Implements the role `models.roles.SuperResolution`.

    param, bin: the files of a network in ncnn's format that enlarges 4 times. threads: number of
    tiles processed at once, each on one CPU thread; this scales better than ncnn's own threads
    inside a tile. tile: side of a tile in pixels of the original; 128 with its margins fits into a
    core's cache. Raises ValueError if ncnn cannot read the files.
    """

    def __init__(self, param: Path, bin: Path, threads: int = 1, tile: int = 128) -> None:
        self._threads = threads
        self._tile = tile
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        if self._net.load_param(str(param)) or self._net.load_model(str(bin)):
            raise ValueError(f"{param} and {bin} are not a network that ncnn can read")
        self._input = self._net.input_names()[0]
        self._output = self._net.output_names()[0]

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the network's .param and .bin."""
        return cls(paths[0], paths[1], threads=device_config.threads)

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` enlarged to `factor` (2 or 4) times its width and height.

        Greys stay grey: only luma detail is added. In addition to the result, each thread needs
        about 60 MB for its tile. Raises ValueError for another factor. Raises WorkCancelledError,
        between two tiles, if nobody waits any more.
        """
        return enlarge_by_tiles(
            rgb, factor, self._enlarge, tile=self._tile, margin=MARGIN, threads=self._threads
        )

    def _enlarge(self, tile: Rgb, factor: int) -> Rgb:
        """Enlarge a tile that has margins. Return it without them."""
        inner = slice(MARGIN * factor, -MARGIN * factor)
        small = tile.astype(np.float32)
        luma = small @ LUMA
        large = _resize(small, factor, cv2.INTER_LANCZOS4)[inner, inner]
        share = detail_share(luma)
        if share[MARGIN - 1 : 1 - MARGIN, MARGIN - 1 : 1 - MARGIN].any():
            detail = _back_project(self._luma(tile, factor), luma, factor)
            detail -= _resize(luma, factor, cv2.INTER_LANCZOS4)
            detail *= _resize(share, factor, cv2.INTER_LINEAR)
            large += detail[inner, inner, None]
        return np.clip(np.rint(large), 0, 255).astype(np.uint8)

    def _luma(self, tile: Rgb, factor: int) -> Plane:
        """Run the network on a tile.

        Return the luma, 0..255, of its result at `factor` times the size.
        """
        planes = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32)
        planes /= 255
        extractor = self._net.create_extractor()
        # ncnn.Mat(array) only points to the array's memory: `planes` must live until clone() returns.
        extractor.input(self._input, ncnn.Mat(planes).clone())
        status, output = extractor.extract(self._output)
        if status:
            raise RuntimeError(f"ncnn stopped with status {status}")
        luma = np.tensordot(LUMA * 255, np.array(output), 1)
        return _resize(luma, factor / NET_FACTOR, cv2.INTER_AREA)


def detail_share(luma: Plane) -> Plane:
    """Return, for each pixel, the share (0..1) of the network's detail that improves on Lanczos.

    luma: height x width, float32, 0..255. F is the local strength of the finest detail and C that
    of coarser detail, both in levels of 0..255. The share is o / (o + 1) with o = F * min(F/C,
    0.8)^2 / 2.2. It is high where the photograph is sharp. It is low where the photograph is smooth
    or out of focus: there Lanczos is nearly exact. The formula and its constants were fitted to the
    share with the least squared error over reduced photographs, as a function of local F and F/C.
    Shares below 0.1 become 0, so that smooth parts do not need the network.
    """
    fine = _strength(luma - _blur(luma, 0.6))
    coarse = _strength(_blur(luma, 0.8) - _blur(luma, 2.0))
    focus = np.minimum((fine + 0.1) / (coarse + 0.1), 0.8)
    odds = fine * focus**2 / 2.2
    share: Plane = np.maximum((odds / (odds + 1) - 0.1) / 0.9, 0)
    return share


def _strength(plane: Plane) -> Plane:
    return np.sqrt(_blur(plane * plane, 1.5))


def _blur(plane: Plane, sigma: float) -> Plane:
    blurred = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)


def _back_project(large: Plane, small: Plane, factor: int) -> Plane:
    """Correct `large` until it is nearly equal to `small` when it is reduced by `factor`."""
    for _ in range(BACK_PROJECTIONS):
        missing = small - _resize(large, 1 / factor, cv2.INTER_AREA)
        large = large + _resize(missing, factor, cv2.INTER_CUBIC)
    return large


def _resize(plane: Plane, factor: float, interpolation: int) -> Plane:
    resized = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=interpolation)
    return np.asarray(resized, np.float32)
