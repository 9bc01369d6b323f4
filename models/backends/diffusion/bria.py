"""The models of profile `bria`: BRIA 2.3, an SDXL model, with a ControlNet for each of three roles.

Some facts come from the published pipeline of BRIA-2.3-ControlNet-BG-Gen and from programs that
call it: the method of `models.backends.diffusion.latent_control`, the black background, the mask
that is 1 on the subject, the scheduler, guidance 5 and scale 1. Others are from memory, marked (M),
and must be checked with the weights: 8 steps with guidance 1 for the fast LoRA with these
ControlNets; and for fill and erasing, that they are called in the same way, the grey hole, and the
mask that is 1 in the hole. Nothing was tested with the full weights, which are gated: tests use
tiny models of the same classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from torch import nn

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
"""Width and height, in pixels, of one latent of SDXL's VAE."""
_FEATHER = 0.01
"""Width of the blended seam inside a hole, as a share of the crop's shorter side."""
_ERASE_PROMPT = ""  # (M)


class BriaScene:
    """Implements the role `models.roles.SceneGeneration` with BRIA-2.3-ControlNet-BG-Gen."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

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
        influence: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role.

        With fast=True, the LoRA's guidance of 1 ignores a negative prompt. The hosted API also
        accepts one only with fast=False. Raises ReferenceUnsupportedError for a reference picture:
        the ControlNet cannot use one.
        """
        if reference is not None and influence > 0:
            raise ReferenceUnsupportedError(
                "this scene model takes a prompt, not a reference picture"
            )
        subject = alpha > 0.5
        schedule = self._model.schedule(fast=fast)
        control = _painted(rgb, ~subject, _BLACK)
        return self._model.generate(control, subject, prompt, negative_prompt, seeds, schedule)


class BriaFill:
    """Implements the role `models.roles.GenerativeFill` with BRIA-2.3-ControlNet-Generative-Fill.

    It is best with holes of more than 15 % of the picture, so crops should be tight.
    """

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        schedule = self._model.schedule(fast=True, guided=bool(negative_prompt.strip()))
        grown = _grown(hole)
        control = _painted(rgb, grown, _GREY)
        return self._model.generate(control, grown, prompt, negative_prompt, seeds, schedule)


class BriaErase:
    """Implements the role `models.roles.Inpainting` with BRIA-2.3-ControlNet-Inpainting."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, fast_lora, device_config, vae)
        self._sizes = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, a ControlNet, a fast LoRA, a VAE."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill the hole in a crop around it, at the model's size; see the role.

        Avoided pixels are hidden from the model like the hole, so that it cannot continue or repeat
        them. Only the pixels of the hole are used from its result. Raises NothingToCopyError.
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
        """Return a part of a picture at its own size, with new pixels where `hidden` is True."""
        size = working_size(part.shape[1], part.shape[0], self._sizes)
        small = resize(part, size)
        # Every touched pixel counts: nearest neighbour would lose a thin hole.
        mask = _grown(touched(hidden, size))
        schedule = self._model.schedule(fast=True)
        control = _painted(small, mask, _GREY)
        made = self._model.generate(control, mask, _ERASE_PROMPT, "", [_SEED], schedule)[0]
        return resize(made, (part.shape[1], part.shape[0]))


def _grown(hole: Mask) -> Mask:
    """Grow a hole by half a latent's width, so that the mask at the latents' size contains all of it.

    Else a grey line of the control could be outside the mask, and the model would keep it.
    """
    return dilate_square(hole, _LATENT // 2)


def _painted(rgb: Rgb, where: Mask, level: int) -> Rgb:
    """Return the picture with one grey level, 0..255, where the mask is True."""
    out = rgb.copy()
    out[where] = level
    return out


def _seam(hole: Mask) -> Alpha8:
    """Return the opacity of the new pixels in a hole, 0..255. It rises from the edge inwards."""
    if hole.all():
        return np.full(hole.shape, 255, np.uint8)
    depth = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 5)
    feather = max(1.0, _FEATHER * min(hole.shape))
    return np.rint(255 * np.clip(depth / feather, 0, 1)).astype(np.uint8)
