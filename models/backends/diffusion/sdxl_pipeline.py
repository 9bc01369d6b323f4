"""One SDXL inpainting pipeline in memory, shared by every role that it plays."""

import copy
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.adapters import load_ip_adapter, load_lora, share_ip_adapter
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig

_BATCH = {"float32": 4}
"""Pictures made at once, by dtype; one where not listed. A batch sums in another order than a single
picture does: in float32 a level at most in the end, in half precision more than a seed may differ."""


@dataclass(frozen=True)
class Recipe:
    """How a picture is made: the number of steps, how hard the prompt pulls, how much is made anew.

    guidance: no negative prompt at 1 and below. strength: 0..1, 1 from noise alone. scheduler: a class
    of diffusers, the repository's own for None. spacing: its `timestep_spacing`, its own for None.
    """

    steps: int
    guidance: float
    strength: float
    scheduler: str | None = None
    spacing: str | None = None


@dataclass(frozen=True)
class Adapters:
    """What is put on the UNet: files of a LoRA and of an IP-Adapter, None for neither."""

    lora: Path | None = None
    ip_adapter: Path | None = None


class SdxlPipeline:
    """A loaded pipeline with a view of its UNet for each set of adapters, the weights shared.

    Not run on full weights.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig) -> None:
        self._device_config = device_config
        self._plain = diffusion.load_pipeline(
            diffusers.StableDiffusionXLInpaintPipeline, folder, device_config, add_watermarker=False
        )
        self._pipes: dict[Adapters, Any] = {Adapters(): self._plain}
        side = self._plain.unet.config.sample_size * self._plain.vae_scale_factor
        # The UNet halves the latents twice, so that multiples of 32 need no padding within.
        self.sizes = SizeRule(multiple=min(32, side // 2), area=side * side, least=side // 2)

    def prepare(self, adapters: Adapters) -> None:
        """Load adapters, once. Raises BadWeightsError."""
        with LOADING:
            if adapters in self._pipes:
                return
            if adapters.lora and adapters.ip_adapter:
                self.prepare(Adapters(lora=adapters.lora))
                self.prepare(Adapters(ip_adapter=adapters.ip_adapter))
                pipe = self._view(Adapters(lora=adapters.lora))
                share_ip_adapter(self._pipes[Adapters(ip_adapter=adapters.ip_adapter)], pipe)
            else:
                pipe = self._view(Adapters())
                if adapters.lora:
                    load_lora(pipe, adapters.lora)
                elif adapters.ip_adapter:
                    self._load_ip_adapter(pipe, adapters.ip_adapter)
            self._pipes[adapters] = pipe

    def _view(self, of: Adapters) -> Any:
        pipe = copy.copy(self._pipes[of])
        pipe.unet = diffusion.view(pipe.unet)
        return pipe

    def _load_ip_adapter(self, pipe: Any, file: Path) -> None:
        """Put an IP-Adapter on a view; its picture encoder lies where h94/IP-Adapter keeps it."""
        root = file.parent.parent if "vit-h" in file.name else file.parent
        folder = root / ("models/image_encoder" if "vit-h" in file.name else "image_encoder")
        dtype = diffusion.torch_dtype(self._device_config)
        encoder = diffusion.load_component(CLIPVisionModelWithProjection, folder, dtype)
        side = encoder.config.image_size
        if not diffusion.offloads(self._device_config):
            encoder.to(self._device_config.device)
        pipe.register_modules(
            image_encoder=encoder,
            feature_extractor=CLIPImageProcessor(size=side, crop_size=side),
        )
        load_ip_adapter(pipe, file)

    def generate(
        self,
        rgb: Rgb,
        hole: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        recipe: Recipe,
        adapters: Adapters | None = None,
        reference: Rgb | None = None,
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of the one given.

        Sides must be multiples of 8: raises ValueError. adapters: prepared before. reference: for an
        IP-Adapter. Raises WorkCancelledError when nobody waits for it any more (`models.deadline`).
        """
        if any(side % 8 for side in hole.shape):
            raise ValueError(f"sides of {hole.shape[1]}x{hole.shape[0]} are not multiples of 8")
        pipe = self._pipes[adapters or Adapters()]
        most = _BATCH.get(self._device_config.dtype, 1)
        made: list[Rgb] = []
        for first in range(0, len(seeds), most):
            batch = seeds[first : first + most]
            with diffusion.generating(self._device_config):
                made += self._batch(
                    pipe, rgb, hole, prompt, negative_prompt, batch, recipe, reference
                )
        return made

    def _batch(
        self,
        shared: Any,
        rgb: Rgb,
        hole: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        recipe: Recipe,
        reference: Rgb | None,
    ) -> list[Rgb]:
        count = len(seeds)
        pipe = diffusion.for_one_call(shared, self._device_config, _scheduler(shared, recipe))
        negative = negative_prompt if recipe.guidance > 1 else None
        guide = {} if reference is None else {"ip_adapter_image": Image.fromarray(reference)}
        result = pipe(
            # One of each for every generator: fewer would make pictures 2..N wholly others.
            image=[Image.fromarray(rgb)] * count,
            mask_image=[Image.fromarray(hole.astype(np.uint8) * np.uint8(255))] * count,
            generator=diffusion.generators(seeds),
            height=rgb.shape[0],
            width=rgb.shape[1],
            strength=recipe.strength,
            num_inference_steps=diffusion.steps_for(recipe.strength, recipe.steps),
            guidance_scale=recipe.guidance,
            output_type="np",
            callback_on_step_end=diffusion.stop_if_abandoned,
            **diffusion.encode_prompts(pipe, self._device_config, prompt, negative, count),
            **guide,
        ).images
        if not np.isfinite(result).all():
            raise FloatingPointError(f"the model gave no numbers in {self._device_config.dtype}")
        return [np.ascontiguousarray(one) for one in (result * 255).round().astype(np.uint8)]


def _scheduler(pipe: Any, recipe: Recipe) -> Any:
    """Return a scheduler for one call."""
    own = pipe.scheduler
    kind = getattr(diffusers, recipe.scheduler) if recipe.scheduler else type(own)
    changes = {"timestep_spacing": recipe.spacing} if recipe.spacing else {}
    return kind.from_config(own.config, **changes)


_LOADED: weakref.WeakValueDictionary[tuple[Path, DeviceConfig], SdxlPipeline] = (
    weakref.WeakValueDictionary()
)


def shared_pipeline(folder: Path, device_config: DeviceConfig) -> SdxlPipeline:
    """Return the pipeline of a folder, loaded once for as long as any role holds it.

    Raises BadWeightsError.
    """
    key = (folder.resolve(), device_config)
    with LOADING:
        pipeline = _LOADED.get(key)
        if pipeline is None:
            _LOADED[key] = pipeline = SdxlPipeline(folder, device_config)
        return pipeline
