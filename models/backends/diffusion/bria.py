"""The models of profile `bria`: BRIA 2.3, of SDXL's class, with a ControlNet for each of three roles.

Known from the published pipeline of BRIA-2.3-ControlNet-BG-Gen and from programs that call it: what
`models.backends.diffusion.latent_control` does, the black background, the mask that is 1 on the subject, the
scheduler, guidance 5, scale 1. From memory, (M) below, and to be checked where the weights can be had:
8 steps with guidance 1 for the fast LoRA under these ControlNets; for fill and erasing that they are
called alike, the grey hole, and the mask that is 1 in it. None of it was run on full weights, which are
gated: tests use tiny models of the same classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from imaging.compositing import over
from imaging.masks import dilate_square, touched
from imaging.picture import Alpha, Alpha8, Mask, Rgb, Window
from imaging.resize import SizeRule, resize, working_size
from imaging.windows import fill_by_windows, with_context
from models.backends.diffusion.latent_control import LatentControl
from models.device import DeviceConfig
from models.errors import NothingToCopyError, ReferenceUnsupportedError

_BLACK = 0
_GREY = 127  # (M)
_SEED = 0
_LEAST_MARGIN = 64
_LATENT = 8
"""Pixels that one latent stands for, in width and height, with SDXL's VAE."""
_FEATHER = 0.01
"""Width of the seam inside a hole, as a share of the crop's shorter side."""
_ERASE_PROMPT = ""  # (M)


class BriaScene:
    """Fulfils the role `models.roles.SceneGeneration` with BRIA-2.3-ControlNet-BG-Gen."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load; see `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def scenes(
        self,
        rgb: Rgb,
        alpha: Alpha,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        *,
        fast: bool = True,
        reference: Rgb | None = None,
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role.

        With the LoRA's guidance of 1 a negative prompt is not read: the hosted API takes one with
        `fast` false only. Raises ReferenceUnsupportedError for a reference picture, which the
        ControlNet does not read.
        """
        if reference is not None:
            raise ReferenceUnsupportedError(
                "this scene model takes a prompt, not a reference picture"
            )
        subject = alpha > 0.5
        how = self._model.schedule(fast=fast)
        shown = _painted(rgb, ~subject, _BLACK)
        return self._model.draw(shown, subject, prompt, negative_prompt, seeds, how)


class BriaFill:
    """Fulfils the role `models.roles.GenerativeFill` with BRIA-2.3-ControlNet-Generative-Fill.

    It does best on holes of more than 15 % of the picture: crops should be close.
    """

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load; see `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        how = self._model.schedule(fast=True, guided=bool(negative_prompt.strip()))
        seen = _seen(hole)
        shown = _painted(rgb, seen, _GREY)
        return self._model.draw(shown, seen, prompt, negative_prompt, seeds, how)


class BriaErase:
    """Fulfils the role `models.roles.Inpainting` with BRIA-2.3-ControlNet-Inpainting."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load; see `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self._sizes = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill the hole of a picture of any size, at the model's size in a crop around it; see the role.

        What is to be avoided is hidden from the model like the hole, so that nothing of it can be
        continued or repeated; only the hole is taken from what is made. Raises NothingToCopyError.
        """
        if not hole.any():
            return rgb.copy()
        hidden = hole if avoid is None else hole | avoid
        if hidden.all():
            raise NothingToCopyError("the hole leaves no pixel to continue from")

        def choose(part: Window) -> Window:
            half = max((side.stop - side.start) // 2 for side in part)
            return with_context(part, hidden, max(_LEAST_MARGIN, half))

        def fill(window: Window, own: Mask) -> Rgb:
            old = rgb[window]
            return over(self._fill(old, hidden[window]), _seam(own), old)

        return fill_by_windows(rgb, hole, choose, fill)

    def _fill(self, part: Rgb, hidden: Mask) -> Rgb:
        """Give a part of a picture, made anew where hidden, at its own size."""
        size = working_size(part.shape[1], part.shape[0], self._sizes)
        small = resize(part, size)
        # Any touch counts: by nearest neighbour a thin hole would be lost.
        mask = _seen(touched(hidden, size))
        how = self._model.schedule(fast=True)
        shown = _painted(small, mask, _GREY)
        made = self._model.draw(shown, mask, _ERASE_PROMPT, "", [_SEED], how)[0]
        return resize(made, (part.shape[1], part.shape[0]))


def _seen(hole: Mask) -> Mask:
    """Grow a hole by half a latent's width, so that the nearest-scaled mask misses no part of it.

    Else the model would be shown a grey line and not told to draw over it.
    """
    return dilate_square(hole, _LATENT // 2)


def _painted(rgb: Rgb, where: Mask, level: int) -> Rgb:
    """Return the picture with one grey level where the mask is True."""
    out = rgb.copy()
    out[where] = level
    return out


def _seam(hole: Mask) -> Alpha8:
    """Return how much of the new pixels a hole takes, 0..255: it rises from its rim inwards."""
    if hole.all():
        return np.full(hole.shape, 255, np.uint8)
    depth = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 5)
    feather = max(1.0, _FEATHER * min(hole.shape))
    return np.rint(255 * np.clip(depth / feather, 0, 1)).astype(np.uint8)
