"""What the roles of SDXL share: the pipeline, and the recipes for their pictures."""

import re
from dataclasses import replace
from pathlib import Path

from torch import nn

from models.backends.diffusion.adapters import LORA_FILE, only_file
from models.backends.diffusion.sdxl_pipeline import Adapters, Recipe, shared_pipeline
from models.device import DeviceConfig

FULL = Recipe(steps=20, guidance=8.0, strength=0.99)
"""From the model card of diffusers/stable-diffusion-xl-1.0-inpainting-0.1, which says that strength
1 is less sharp. At 0.99, a trace of the hole's old pixels remains. The roles choose these pixels."""
FEWER = Recipe(steps=12, guidance=7.0, strength=0.99)
"""For fast=True without a LoRA."""
LCM = Recipe(steps=8, guidance=1.0, strength=1.0, scheduler="LCMScheduler")
"""From the model card of latent-consistency/lcm-lora-sdxl: 4 to 8 steps, guidance 1 to 2. Its steps
are large: strength 0.99 would skip the first one and keep too much of the old pixels."""
LCM_MORE = replace(LCM, steps=12, guidance=1.5)
"""For fast=False with a fused LoRA, and for faces, of whose steps a low strength runs a third. A
judgement, not tried on the published weights."""
LCM_TRACE = 0.9
"""Strength of outpainting with a fast LoRA: the first of 8 steps is left out, so that a trace of the
blurred border remains, which here is wanted. A judgement, not tried on the published weights."""


class SdxlModel:
    """A model of SDXL's roles, with its pipeline.

    folder: a StableDiffusionXLInpaintPipeline in hub layout, with 9 or 4 channels. fast_lora: the
    folder or file of an LCM or Lightning LoRA, which needs fewer steps. vae: as in `SdxlPipeline`.
    fused: whether the LoRA is added to the weights of the UNet, which then is quicker and makes
    nothing without it. sizes: the sizes that it works at. Raises BadWeightsError. Not tested with
    full weights.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        fast_lora: Path | None = None,
        vae: Path | None = None,
        fused: bool = False,
    ) -> None:
        lora = None if fast_lora is None else only_file(fast_lora, LORA_FILE)
        self._fast = None if lora is None else _fast(lora)
        self._is_fused = fused
        self._lora = None if fused else lora
        self._pipeline = shared_pipeline(
            folder, device_config, vae=vae, fused=lora if fused else None
        )
        self._prepared = [Adapters(self._lora)]
        self._pipeline.prepare(Adapters(self._lora))
        self.sizes = self._pipeline.sizes

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._pipeline.networks(*self._prepared)

    def _recipe(self, *, fast: bool) -> tuple[Recipe, Path | None]:
        """Return the recipe for a picture, with fewer steps if `fast`, and the LoRA that it needs beside."""
        if fast:
            return self._fast or FEWER, self._lora
        if self._fast is None or not self._is_fused:
            return FULL, None
        # Lightning LoRAs are made for one number of steps.
        return (LCM_MORE if self._fast == LCM else self._fast), None


def _fast(lora: Path) -> Recipe:
    """Return the recipe of a fast LoRA. Lightning has its steps in the file name; all others are LCM."""
    lightning = re.search(r"lightning_(\d+)step", lora.name)
    if lightning is None:
        return LCM
    # From the model card of ByteDance/SDXL-Lightning: Euler scheduler, trailing timesteps, no guidance.
    steps = int(lightning[1])
    return Recipe(steps, 0.0, 1.0, scheduler="EulerDiscreteScheduler", spacing="trailing")
