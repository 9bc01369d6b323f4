"""Generative fill, scenes and outpainting with an SDXL inpainting model and its adapters."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from imaging.inpaint.nearest import fill_from_nearest
from imaging.picture import Alpha, Mask, Rgb
from imaging.resize import resize
from models.backends.diffusion.adapters import only_file
from models.backends.diffusion.sdxl_base import LCM_TRACE, SdxlModel
from models.backends.diffusion.sdxl_pipeline import Adapters, Guide, without_vae
from models.device import DeviceConfig
from models.errors import ReferenceUnsupportedError

_IP_ADAPTER_FILE = "ip-adapter_sdxl_vit-h.safetensors"
_SOLID = 0.9
"""Least alpha of the subject's pixels that the model sees. Softer pixels contain some of the old background."""
_GREY = 128


class SdxlFill(SdxlModel):
    """Implements the role `models.roles.GenerativeFill`.

    The trace in the hole is of the original picture, so that light and colour continue into it.
    """

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        vae: bool = False,
        fused: bool = False,
    ) -> Self:
        """Load the model of a card; paths: the pipeline, optionally a fast LoRA, and with `vae` a VAE."""
        (base, *lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, lora[0] if lora else None, own_vae, fused)

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        recipe, lora = self._recipe(fast=self._fast is not None)
        return self._pipeline.generate(
            rgb, hole, prompt, negative_prompt, seeds, recipe, Adapters(lora)
        )


class SdxlScene(SdxlModel):
    """Implements the role `models.roles.SceneGeneration`.

    The hole is everything except the solid subject. It is grey before the model sees it, so that no
    light of the old background remains. ip_adapter: the folder of h94/IP-Adapter, or a file
    `sdxl_models/*` in it; without it, a reference picture raises ReferenceUnsupportedError. A
    fast_lora that is not fused is only used with fast=True; without one, fast=True takes fewer steps.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        ip_adapter: Path | None = None,
        fast_lora: Path | None = None,
        vae: Path | None = None,
        fused: bool = False,
    ) -> None:
        super().__init__(folder, device_config, fast_lora, vae, fused)
        self._ip_adapter = None
        if ip_adapter is not None:
            inner = ip_adapter / "sdxl_models"
            self._ip_adapter = only_file(inner if inner.is_dir() else ip_adapter, _IP_ADAPTER_FILE)
            prepared = [Adapters(None, self._ip_adapter), Adapters(self._lora, self._ip_adapter)]
            for adapters in prepared:
                self._pipeline.prepare(adapters)
            self._prepared += prepared

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        vae: bool = False,
        fused: bool = False,
    ) -> Self:
        """Load the model of a card; paths: the pipeline, an IP-Adapter, a fast LoRA, with `vae` a VAE."""
        (base, adapter, lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, adapter, lora, own_vae, fused)

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
        recipe, lora = self._recipe(fast=fast)
        adapters = Adapters(lora, self._ip_adapter if guide is not None else None)
        return self._pipeline.generate(
            visible, hole, prompt, negative_prompt, seeds, recipe, adapters, guide
        )


class SdxlOutpaint(SdxlModel):
    """Implements the role `models.roles.Outpainting`.

    Before the model sees the margin, it is filled with the nearest border pixels, more blurred
    farther out. At a strength below 1 a trace of that remains: the light and colours of the border. A
    black margin would darken the result, and strength 1 would start from noise only.
    """

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        vae: bool = False,
        fused: bool = False,
    ) -> Self:
        """Load the model of a card; paths: the pipeline, optionally a fast LoRA, and with `vae` a VAE."""
        (base, *lora), own_vae = without_vae(paths, vae)
        return cls(base, device_config, lora[0] if lora else None, own_vae, fused)

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return the canvas with its hole generated; see the role."""
        if not hole.any():
            return canvas.copy()
        filled = prefill(canvas, hole)
        recipe, lora = self._recipe(fast=self._fast is not None)
        if self._fast is not None:
            recipe = replace(recipe, strength=LCM_TRACE)
        return self._pipeline.generate(
            filled, hole, prompt, negative_prompt, [seed], recipe, Adapters(lora)
        )[0]


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
