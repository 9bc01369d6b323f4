"""SDXL with a ControlNet that takes latents, as BRIA 2.3's ControlNets do.

The control has five channels at the size of the latents: the VAE's latents of the picture with its
unknown part painted over, and a mask. The repositories contain their own pipeline code. This module
replaces that code, with diffusers' classes. Two things differ from diffusers' own ControlNets:

- The network that embeds the control keeps the control's size; diffusers' network reduces it eight times. The
  weights have the same names and shapes in both; only the strides differ.
- The picture's "original size" (micro-conditioning, SDXL paper, section 2.2) is the size of the control, an eighth
  of the picture's. This is unusual, but the published pipeline does it with these weights.
"""

import copy
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
)
from torch import nn

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.adapters import LORA_FILE, load_lora, only_file
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig
from models.errors import BadWeightsError

CHANNELS = 5
"""Channels of the control: four of the latents, and the mask."""
_NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}
_BATCH = {"float32": 4}
"""Largest batch by dtype; 1 for the others. A batch sums in another order than a single picture. In
float32 the result differs by at most one level, but in half precision by more than the same seed
may differ."""


class Schedule(NamedTuple):
    """How a picture is generated: the class of the noise scheduler, the number of steps, the guidance scale."""

    scheduler: type[Any]
    steps: int
    guidance: float


WITH_LORA = Schedule(LCMScheduler, 8, 1.0)
WITHOUT_LORA = Schedule(EulerAncestralDiscreteScheduler, 20, 5.0)
THOROUGH = Schedule(EulerAncestralDiscreteScheduler, 30, 5.0)
_LCM_GUIDANCE = 1.5
"""Guidance with a negative prompt, which guidance 1 ignores. LCM LoRAs work with 1 to 2 (Luo et
al., "LCM-LoRA: A Universal Stable-Diffusion Acceleration Module", 2023)."""


class _Pipeline(StableDiffusionXLControlNetPipeline):  # type: ignore[misc]
    """diffusers' pipeline, changed for a control at the size of the latents, not of the picture."""

    def prepare_latents(
        self, batch: int, channels: int, height: int, width: int, *args: Any, **named: Any
    ) -> torch.Tensor:
        """Return the initial noise. height, width: of the control."""
        this: Any = self
        inherited: Any = super()
        scale = this.vae_scale_factor
        latents: torch.Tensor = inherited.prepare_latents(
            batch, channels, height * scale, width * scale, *args, **named
        )
        return latents


class _Base:
    """The SDXL model that several ControlNets share, with a second UNet for the fast LoRA, on the same weights."""

    def __init__(
        self, folder: Path, fast_lora: Path | None, device_config: DeviceConfig, vae: Path | None
    ) -> None:
        self.plain = diffusion.load_pipeline(StableDiffusionXLPipeline, folder, device_config)
        if vae is not None:
            device = self.plain.vae.device
            dtype = diffusion.torch_dtype(device_config)
            self.plain.vae = diffusion.load_component(AutoencoderKL, vae, dtype).to(device)
        self.fast_unet = None
        if fast_lora is not None:
            fast = copy.copy(self.plain)
            fast.unet = diffusion.view(self.plain.unet)
            load_lora(fast, only_file(fast_lora, LORA_FILE))
            self.fast_unet = fast.unet


_Key = tuple[Path, Path | None, DeviceConfig, Path | None]
_LOADED: weakref.WeakValueDictionary[_Key, _Base] = weakref.WeakValueDictionary()


def _shared_base(
    folder: Path, fast_lora: Path | None, device_config: DeviceConfig, vae: Path | None
) -> _Base:
    """Return the base of a folder, loaded once while any role uses it.

    The caller must hold LOADING.
    """
    lora_path, vae_path = (path and path.resolve() for path in (fast_lora, vae))
    key = (folder.resolve(), lora_path, device_config, vae_path)
    base = _LOADED.get(key)
    if base is None:
        _LOADED[key] = base = _Base(folder, fast_lora, device_config, vae)
    return base


class LatentControl:
    """A generator of pictures that follow a control.

    Several threads may use it, one call at a time per device.
    """

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load from folders in hub layout; raises BadWeightsError that names the file.

        base: an SDXL repository; instances with the same base share its weights. fast_lora: the
        file or folder of an LCM LoRA. vae: replaces the VAE of the base, for example with one that
        works in float16.
        """
        self._device_config = device_config
        with LOADING:
            network = _load_controlnet(controlnet, diffusion.torch_dtype(device_config))
            self._base = _shared_base(base, fast_lora, device_config, vae)
            self._plain = _pipeline(self._base.plain, network)
            if not diffusion.offloads(device_config):
                network.to(device_config.device)
            self._fast = None
            if self._base.fast_unet is not None:
                self._fast = copy.copy(self._plain)
                self._fast.unet = self._base.fast_unet
        scale = self._plain.vae_scale_factor
        side = self._plain.unet.config.sample_size * scale
        self.sizes = SizeRule(multiple=min(8 * scale, side), area=side * side, least=side // 2)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        pipes = [self._plain, *([self._fast] if self._fast is not None else [])]
        return diffusion.networks_of(self._device_config, *pipes)

    def schedule(self, *, fast: bool, guided: bool = False) -> Schedule:
        """Return the schedule.

        guided: whether a negative prompt must have an effect with fast=True too.
        """
        if not fast:
            return THOROUGH
        if self._fast is None:
            return WITHOUT_LORA
        return WITH_LORA._replace(guidance=_LCM_GUIDANCE) if guided else WITH_LORA

    def generate(
        self,
        rgb: Rgb,
        mask: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        schedule: Schedule,
    ) -> list[Rgb]:
        """Return one picture for each seed, of the size of `rgb`, with `rgb` and `mask` as control.

        Raises ValueError if a side is not a multiple of 8, WorkCancelledError if nobody waits any
        more, and FloatingPointError if the result contains NaN.
        """
        if any(side % self._plain.vae_scale_factor for side in mask.shape):
            raise ValueError(f"sides of {mask.shape[1]}x{mask.shape[0]} are not multiples of 8")
        size = _BATCH.get(self._device_config.dtype, 1)
        pictures: list[Rgb] = []
        for first in range(0, len(seeds), size):
            batch = seeds[first : first + size]
            with diffusion.generating(self._device_config):
                pictures += self._batch(rgb, mask, prompt, negative_prompt, batch, schedule)
        return pictures

    def _batch(
        self,
        rgb: Rgb,
        mask: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        schedule: Schedule,
    ) -> list[Rgb]:
        shared = self._fast if schedule.scheduler is LCMScheduler else self._plain
        pipe = diffusion.for_one_call(shared, self._device_config, schedule.scheduler(**_NOISE))
        negative = negative_prompt if schedule.guidance > 1 else None
        latents = pipe(
            **diffusion.encode_prompts(pipe, self._device_config, prompt, negative, len(seeds)),
            image=self._control(pipe, rgb, mask),
            num_inference_steps=schedule.steps,
            guidance_scale=schedule.guidance,
            controlnet_conditioning_scale=1.0,
            target_size=mask.shape,
            # One generator per picture: with a single one, the second picture would depend on the first.
            generator=diffusion.generators(seeds),
            callback_on_step_end=diffusion.check_deadline,
            output_type="latent",
        ).images
        # One after the other: the VAE needs more memory than all other networks.
        return [_decode(pipe.vae, latent[None]) for latent in latents]

    def _control(self, pipe: Any, rgb: Rgb, mask: Mask) -> torch.Tensor:
        """Return the control, 1 x 5 x height / 8 x width / 8: latents, then the mask at their size.

        The mask is resized by nearest neighbour. The latents are the mode of the VAE's
        distribution, not a sample, so that the control is the same for every seed.
        """
        scale = pipe.vae_scale_factor
        pixels = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
        with _without_overflow(pipe.vae) as vae:
            values = pixels.to(self._device_config.device, vae.dtype) / 127.5 - 1
            latents = vae.encode(values).latent_dist.mode() * vae.config.scaling_factor
        small = torch.from_numpy(np.ascontiguousarray(mask[::scale, ::scale]))
        return torch.cat([latents, small[None, None].to(latents)], dim=1)


def _decode(shared: Any, latents: torch.Tensor) -> Rgb:
    """Return the picture of 1 x 4 x height / 8 x width / 8 latents."""
    with _without_overflow(shared) as vae:
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    if not torch.isfinite(pixels).all():
        raise FloatingPointError(f"the result of the model is not finite in {latents.dtype}")
    values = pixels[0].float().permute(1, 2, 0).add(1).mul(127.5).round().clamp(0, 255)
    picture: Rgb = values.to("cpu", torch.uint8).numpy()
    return picture


@contextmanager
def _without_overflow(vae: Any) -> Iterator[Any]:
    """Yield a VAE, in float32 if float16 would overflow.

    No other call may use the VAE at the same time.
    """
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(torch.float32)
    try:
        yield vae
    finally:
        if upcast:
            vae.to(torch.float16)


def _load_controlnet(folder: Path, dtype: torch.dtype) -> Any:
    """Load a ControlNet, with strides of 1 so that it keeps the size of its control; raises BadWeightsError."""
    network = diffusion.load_component(ControlNetModel, folder, dtype)
    if network.config.conditioning_channels != CHANNELS:
        raise BadWeightsError(
            f"{folder}: a ControlNet that takes {network.config.conditioning_channels} channels "
            f"instead of {CHANNELS}, latents and a mask"
        )
    for layer in network.controlnet_cond_embedding.blocks:
        layer.stride = (1, 1)
    return network


def _pipeline(base: Any, network: Any) -> Any:
    """Return a pipeline with the components of a base and a ControlNet.

    It does not use `from_pipe`, which would cast the shared components to float32.
    """
    parts = {name: part for name, part in base.components.items() if part is not None}
    kind: Any = _Pipeline  # untyped
    pipe = kind(
        **parts,
        controlnet=network,
        force_zeros_for_empty_prompt=base.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
