"""BRIA's backends from tiny repositories (`models.tiny.bria.make_repositories`), and inputs for them."""

from pathlib import Path

import numpy as np

from imaging.picture import Alpha, Mask, Rgb
from models.backends.diffusion.bria import (
    BriaErase,
    BriaExpand,
    BriaFill,
    BriaScene,
    TinyBriaErase,
)
from models.device import DeviceConfig

CPU = DeviceConfig()


def load_scene(folder: Path, *more: str) -> BriaScene:
    return BriaScene.load([folder / name for name in ("erase", "control", "slow", *more)], CPU)


def load_fill(folder: Path) -> BriaFill:
    return BriaFill.load([folder / "erase", folder / "control"], CPU)


def load_expand(folder: Path) -> BriaExpand:
    return BriaExpand.load([folder / "erase", folder / "expansion"], CPU)


def load_erase(folder: Path) -> BriaErase:
    return TinyBriaErase.load([folder / "erase", folder / "erase", folder / "lama"], CPU)


def noise(seed: int = 0, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def square(height: int = 64, width: int = 64, start: int = 16, side: int = 32) -> Mask:
    mask = np.zeros((height, width), np.bool_)
    mask[start : start + side, start : start + side] = True
    return mask


def alpha() -> Alpha:
    return square().astype(np.float32)


def apart(one: Rgb, other: Rgb) -> int:
    """Return the largest difference of two pictures, in levels."""
    return int(np.abs(one.astype(np.int16) - other).max())
