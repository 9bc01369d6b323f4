"""Super-resolution with a Real-ESRGAN network on ncnn, held to the photograph it enlarges.

The network (X. Wang et al., "Real-ESRGAN", 2021; the compact one is trained on drawn video) gives
crisp edges, but shifts colours and paints over soft texture. So only the detail of its luma is
taken, made consistent with the photograph by back-projection (M. Irani and S. Peleg, "Improving
resolution by image registration", 1991), and added to a Lanczos enlargement as far as the
photograph itself is sharp there.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import cv2
import ncnn
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb
from models.deadline import current
from models.device import DeviceConfig

Plane = NDArray[np.float32]

NET_FACTOR = 4
FACTORS = (2, 4)
MARGIN = 18
"""Pixels of the picture given with each tile on every side. The compact network's 18 convolutions
reach 18 pixels, of which the last 4 hardly matter; back-projection reaches 4, the windows of
`detail_share` 14. Seams stay below one level; networks that see further may show them more."""
BACK_PROJECTIONS = 2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class _Span:
    """Pixels start..stop of one axis."""

    start: int
    stop: int


class RealEsrgan:
    """Fulfils the role `models.roles.SuperResolution`.

    param, bin: the network in ncnn's format, times 4. threads: tiles worked on at once, each on one
    processor thread; that scales better than ncnn's own threads within a tile. tile: side of a
    tile in pixels of the given picture; 128 with its margins stays within a core's cache.
    """

    def __init__(self, param: Path, bin: Path, threads: int = 1, tile: int = 128) -> None:
        self._threads = threads
        self._tile = tile
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        if self._net.load_param(str(param)) or self._net.load_model(str(bin)):
            raise ValueError(f"{param} and {bin} are no network that ncnn can read")
        self._input = self._net.input_names()[0]
        self._output = self._net.output_names()[0]

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the network's .param and .bin."""
        return cls(paths[0], paths[1], threads=device_config.threads)

    def upscale(self, rgb: Rgb, factor: int) -> Rgb:
        """Return `rgb` at `factor` (2 or 4) times its width and height.

        Greys stay grey: only luma detail is added. Beside the result, memory is that of one tile
        for each thread, about 60 MB. Raises ValueError for another factor, and WorkCancelledError between two
        tiles once nobody waits any more.
        """
        if factor not in FACTORS:
            raise ValueError(f"factor {factor} is not one of {FACTORS}")
        height, width = rgb.shape[:2]
        result = np.empty((height * factor, width * factor, 3), np.uint8)
        scope = current()

        def enlarge(place: tuple[_Span, _Span]) -> None:
            scope.check()
            rows, columns = place
            tile = self._enlarge(_with_margin(rgb, rows, columns), factor)
            result[
                rows.start * factor : rows.stop * factor,
                columns.start * factor : columns.stop * factor,
            ] = tile

        places = [(r, c) for r in _spans(height, self._tile) for c in _spans(width, self._tile)]
        if self._threads == 1:
            for place in places:
                enlarge(place)
        else:
            with ThreadPoolExecutor(self._threads) as workers:
                list(workers.map(enlarge, places))
        return result

    def _enlarge(self, tile: Rgb, factor: int) -> Rgb:
        """Enlarge a tile that comes with its margins; gives it without them."""
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
        """Return the luma, 0..255, of what the network makes of a tile."""
        planes = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32)
        planes /= 255
        extractor = self._net.create_extractor()
        # ncnn.Mat(array) only points at the array's memory: `planes` must outlive the clone.
        extractor.input(self._input, ncnn.Mat(planes).clone())
        status, output = extractor.extract(self._output)
        if status:
            raise RuntimeError(f"ncnn stopped with status {status}")
        luma = np.tensordot(LUMA * 255, np.array(output), 1)
        return _resize(luma, factor / NET_FACTOR, cv2.INTER_AREA)


def detail_share(luma: Plane) -> Plane:
    """Tell, pixel by pixel, how much of the network's detail improves on Lanczos, 0..1.

    With F the local strength of the finest detail and C that of coarser detail, both in levels, the
    share is o / (o + 1) for o = F * min(F/C, 0.8)^2 / 2.2: high where the photograph is
    sharp, low where it is smooth or out of focus and Lanczos is all but exact. The form and its
    numbers fit the share of least squared error over reduced photographs, by local F and F/C.
    Shares below 0.1 become 0, so that smooth parts need no network at all.
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
    """Move `large` until, reduced again by `factor`, it is all but `small`."""
    for _ in range(BACK_PROJECTIONS):
        missing = small - _resize(large, 1 / factor, cv2.INTER_AREA)
        large = large + _resize(missing, factor, cv2.INTER_CUBIC)
    return large


def _resize(plane: Plane, factor: float, interpolation: int) -> Plane:
    resized = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=interpolation)
    return np.asarray(resized, np.float32)


def _spans(length: int, tile: int) -> list[_Span]:
    """Cut an axis into as few spans of at most `tile` as will do, all of about one length."""
    count = -(-length // tile)
    cuts = [length * i // count for i in range(count + 1)]
    return [_Span(a, b) for a, b in pairwise(cuts)]


def _with_margin(rgb: Rgb, rows: _Span, columns: _Span) -> Rgb:
    """Cut a tile and MARGIN pixels around it, the picture mirrored beyond its edges."""
    height, width = rgb.shape[:2]
    top, bottom = max(0, rows.start - MARGIN), min(height, rows.stop + MARGIN)
    left, right = max(0, columns.start - MARGIN), min(width, columns.stop + MARGIN)
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(rgb[top:bottom, left:right]),
        MARGIN - (rows.start - top),
        MARGIN - (bottom - rows.stop),
        MARGIN - (columns.start - left),
        MARGIN - (right - columns.stop),
        cv2.BORDER_REFLECT_101,
    )
    return np.asarray(framed, np.uint8)
