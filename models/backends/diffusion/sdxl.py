"""Generative fill, scenes and outpainting with an SDXL inpainting model and its adapters."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Alpha, Mask, Rgb
from imaging.resize import resize
from models.backends.diffusion.adapters import LORA_FILE, only_file
from models.backends.diffusion.sdxl_pipeline import (
    Adapters,
    Guide,
    Recipe,
    shared_pipeline,
    without_vae,
)
from models.device import DeviceConfig
from models.errors import ReferenceUnsupportedError

_FULL = Recipe(steps=20, guidance=8.0, strength=0.99)
"""From the model card of diffusers/stable-diffusion-xl-1.0-inpainting-0.1, which says that strength
1 is less sharp. At 0.99, a trace of the hole's old pixels remains. The classes below choose these
pixels."""
_FEWER = Recipe(steps=12, guidance=7.0, strength=0.99)
"""For fast=True without a LoRA."""
_LCM = Recipe(steps=8, guidance=1.0, strength=1.0, scheduler="LCMScheduler")
"""From the model card of latent-consistency/lcm-lora-sdxl: 4 to 8 steps, guidance 1 to 2. Its steps
are large: strength 0.99 would skip the first one and keep too much of the old pixels."""
_IP_ADAPTER_FILE = "ip-adapter_sdxl_vit-h.safetensors"
_SOLID = 0.9
"""Least alpha of the subject's pixels that the model sees. Softer pixels contain some of the old background."""
_GREY = 128


class SdxlFill:
    """Implements the role `models.roles.GenerativeFill`.

    The trace in the hole is of the original picture, so that light and colour continue into it.
    folder: a StableDiffusionXLInpaintPipeline in hub layout, with 9 or 4 channels. fast_lora: the
    folder or file of an LCM or Lightning LoRA; with it there are fewer steps, and negative prompts
    are ignored. vae: as in `SdxlPipeline`. Raises BadWeightsError. Not tested with full weights.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        fast_lora: Path | None = None,
        vae: Path | None = None,
    ) -> None:
        self._pipeline = shared_pipeline(folder, device_config, vae=vae)
        self._recipe, self._adapters = _FULL, Adapters()
        if fast_lora is not None:
            self._recipe, self._adapters = _fast(fast_lora)
            self._pipeline.prepare(self._adapters)
        self.sizes = self._pipeline.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, vae: bool = False) -> Self:
        """Load the model of a card; paths: the pipeline, optionally a fast LoRA, and with `vae` a VAE."""
        (base, *lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, fast_lora=lora[0] if lora else None, vae=own_vae)

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        return self._pipeline.generate(
            rgb, hole, prompt, negative_prompt, seeds, self._recipe, self._adapters
        )


class SdxlScene:
    """Implements the role `models.roles.SceneGeneration`.

    The hole is everything except the solid subject. It is grey before the model sees it, so that no
    light of the old background remains. ip_adapter: the folder of h94/IP-Adapter, or a file
    `sdxl_models/*` in it; without it, a reference picture raises ReferenceUnsupportedError.
    fast_lora: as for SdxlFill, only used with fast=True; without it, fast=True takes fewer steps.
    With fast=True, negative prompts are ignored. vae: as in `SdxlPipeline`. Raises BadWeightsError.
    Not tested with full weights.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        ip_adapter: Path | None = None,
        fast_lora: Path | None = None,
        vae: Path | None = None,
    ) -> None:
        self._pipeline = shared_pipeline(folder, device_config, vae=vae)
        self._fast, self._fast_lora = _FEWER, None
        if fast_lora is not None:
            self._fast, adapters = _fast(fast_lora)
            self._fast_lora = adapters.lora
            self._pipeline.prepare(adapters)
        self._ip_adapter = None
        if ip_adapter is not None:
            inner = ip_adapter / "sdxl_models"
            self._ip_adapter = only_file(inner if inner.is_dir() else ip_adapter, _IP_ADAPTER_FILE)
            self._pipeline.prepare(Adapters(None, self._ip_adapter))
            self._pipeline.prepare(Adapters(self._fast_lora, self._ip_adapter))
        self.sizes = self._pipeline.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, vae: bool = False) -> Self:
        """Load the model of a card; paths: the pipeline, an IP-Adapter, a fast LoRA, with `vae` a VAE."""
        (base, adapter, lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, ip_adapter=adapter, fast_lora=lora, vae=own_vae)

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
        """Return one picture for each seed; raises ReferenceUnsupportedError without an IP-Adapter."""
        guide = None if reference is None or influence == 0 else Guide(reference, influence)
        if guide is not None and self._ip_adapter is None:
            raise ReferenceUnsupportedError("a reference picture needs an IP-Adapter")
        visible, hole = visible_subject(rgb, alpha)
        if not hole.any():
            return [rgb.copy() for _ in seeds]
        adapters = Adapters(
            self._fast_lora if fast else None, self._ip_adapter if guide is not None else None
        )
        return self._pipeline.generate(
            visible,
            hole,
            prompt,
            "" if fast else negative_prompt,
            seeds,
            self._fast if fast else _FULL,
            adapters,
            guide,
        )


class SdxlOutpaint:
    """Implements the role `models.roles.Outpainting`.

    Before the model sees the margin, it is filled with the nearest border pixels, more blurred
    farther out. At strength 0.99 a trace of that remains: the light and colours of the border. A
    black margin would darken the result, and strength 1 would start from noise only. vae: as in
    `SdxlPipeline`. Raises BadWeightsError. Not tested with full weights.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig, vae: Path | None = None) -> None:
        self._pipeline = shared_pipeline(folder, device_config, vae=vae)
        self.sizes = self._pipeline.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, vae: bool = False) -> Self:
        """Load the model of a card; paths: the pipeline, and with `vae` a VAE."""
        (base,), own_vae = without_vae(paths, vae)
        return cls(base, device_config, own_vae)

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return the canvas with its hole generated; see the role."""
        if not hole.any():
            return canvas.copy()
        filled = prefill(canvas, hole)
        return self._pipeline.generate(filled, hole, prompt, negative_prompt, [seed], _FULL)[0]


def visible_subject(rgb: Rgb, alpha: Alpha) -> tuple[Rgb, Mask]:
    """Return what a scene model sees, grey where the subject is not solid, and that hole."""
    hole = alpha < _SOLID
    visible = rgb.copy()
    visible[hole] = _GREY
    return visible, hole


def prefill(canvas: Rgb, hole: Mask) -> Rgb:
    """Return the canvas with its hole roughly filled: the nearest pixels outside, blurred.

    If the whole canvas is hole, it is grey. Outside the hole the result is the canvas, bit for bit.
    """
    if hole.all():
        return np.full_like(canvas, _GREY)
    spread = fill_from_nearest(canvas, ~hole)
    # Each border pixel makes a streak. Strong blur far from the border leaves only its colour.
    far = _blurred(spread, max(hole.shape) / 16)
    near = _blurred(spread, max(hole.shape) / 64)
    distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(distance / (max(hole.shape) / 8), 0, 1)[..., None]
    blurred = (near * (1 - share) + far * share).round().astype(np.uint8)
    return np.where(hole[..., None], blurred, canvas)


def _blurred(rgb: Rgb, sigma: float) -> Rgb:
    """Return a picture blurred at a reduced size: it looks the same, in a tenth of the time."""
    height, width = rgb.shape[:2]
    smaller = max(1.0, sigma / 2)
    size = (max(1, round(width / smaller)), max(1, round(height / smaller)))
    blurred = cv2.GaussianBlur(resize(rgb, size), (0, 0), sigma / smaller)
    return resize(np.asarray(blurred, np.uint8), (width, height), cv2.INTER_CUBIC)


def _fast(lora: Path) -> tuple[Recipe, Adapters]:
    """Return recipe and adapter of a fast LoRA. Lightning has its steps in the file name; all others are LCM."""
    file = only_file(lora, LORA_FILE)
    lightning = re.search(r"lightning_(\d+)step", file.name)
    if lightning is None:
        return _LCM, Adapters(lora=file)
    # From the model card of ByteDance/SDXL-Lightning: Euler scheduler, trailing timesteps, no guidance.
    steps = int(lightning[1])
    recipe = Recipe(steps, 0.0, 1.0, scheduler="EulerDiscreteScheduler", spacing="trailing")
    return recipe, Adapters(lora=file)
