"""Generative fill, scenes and outpainting with Stable Diffusion 1.5 inpainting and an LCM LoRA, for the CPU.

The LoRA (Luo et al., "LCM-LoRA", 2023) needs 4 steps instead of 50. Its model card says guidance 1 to
2: at 1 each step is one pass of the network and there is no negative prompt, above 1 there are two.
The published files were not run here: tests use tiny models of the same classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import nn

from imaging.picture import Alpha, Mask, Rgb
from models.backends.diffusion.adapters import LORA_FILE, only_file
from models.backends.diffusion.sdxl import prefill, visible_subject
from models.backends.diffusion.sdxl_pipeline import (
    Adapters,
    Recipe,
    SdxlPipeline,
    shared_pipeline,
)
from models.backends.diffusion.shared_encoding import SdInpaint
from models.device import DeviceConfig
from models.errors import ReferenceUnsupportedError

_STEPS, _MORE_STEPS = 4, 8
"""Denoising steps; the second for scenes with fast=False."""


class Sd15Pipeline(SdxlPipeline):
    """A loaded Stable Diffusion 1.5 inpainting pipeline, without its safety checker.

    The server has its own moderation, and the checker's file is a pickle. Raises BadWeightsError.
    """

    kind = SdInpaint
    settings = {  # noqa: RUF012 - never changed
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    }
    multiple = 64
    batch = 1  # a processor gains nothing by more, and has less memory


class _Sd15:
    """What the roles share: the pipeline, and the recipe of a call."""

    def __init__(self, folder: Path, lora: Path, device_config: DeviceConfig) -> None:
        """Load the pipeline of a folder in hub layout and the LoRA; raises BadWeightsError."""
        self._pipeline = shared_pipeline(folder, device_config, Sd15Pipeline)
        self._adapters = Adapters(lora=only_file(lora, LORA_FILE))
        self._pipeline.prepare(self._adapters)
        self.sizes = self._pipeline.sizes

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._pipeline.networks(self._adapters)

    def _generate(
        self,
        rgb: Rgb,
        hole: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        steps: int = _STEPS,
    ) -> list[Rgb]:
        recipe = Recipe(steps, guidance=1.0, strength=1.0, scheduler="LCMScheduler")
        return self._pipeline.generate(
            rgb, hole, prompt, negative_prompt, seeds, recipe, self._adapters
        )


class Sd15Fill(_Sd15):
    """Implements the role `models.roles.GenerativeFill`."""

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the pipeline and the LoRA."""
        return cls(paths[0], paths[1], device_config)

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        return self._generate(rgb, hole, prompt, negative_prompt, seeds)


class Sd15Scene(_Sd15):
    """Implements the role `models.roles.SceneGeneration`.

    The hole is everything except the solid subject. It is grey before the model sees it, so that no
    light of the old background remains.
    """

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the pipeline and the LoRA."""
        return cls(paths[0], paths[1], device_config)

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
        """Return one picture for each seed; raises ReferenceUnsupportedError for a reference picture."""
        if reference is not None and influence > 0:
            raise ReferenceUnsupportedError(
                "this scene model takes a prompt, not a reference picture"
            )
        visible, hole = visible_subject(rgb, alpha)
        if not hole.any():
            return [rgb.copy() for _ in seeds]
        steps = _STEPS if fast else _MORE_STEPS
        return self._generate(visible, hole, prompt, negative_prompt, seeds, steps)


class Sd15Outpaint(_Sd15):
    """Implements the role `models.roles.Outpainting`; the margin starts from noise alone."""

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the pipeline and the LoRA."""
        return cls(paths[0], paths[1], device_config)

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return the canvas with its hole generated; see the role."""
        if not hole.any():
            return canvas.copy()
        begun = prefill(canvas, hole)
        return np.ascontiguousarray(self._generate(begun, hole, prompt, negative_prompt, [seed])[0])
