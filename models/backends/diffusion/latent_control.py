"""SDXL steered by a ControlNet that reads latents: how BRIA 2.3's ControlNets are run.

The control has five channels at the size of the latents: the VAE's latents of the picture, its unknown
part painted over, and a mask. The repositories carry pipeline code of their own; this stands in its
place, on diffusers' classes. Two things differ from diffusers' own ControlNets:

- the network that embeds the control keeps its size, where diffusers' reduces it eight times. The
  weights have the same names and shapes in both, so that only the strides tell them apart;
- the picture's "original size" (micro-conditioning, SDXL paper, section 2.2) is the control's, an
  eighth of the picture's. Odd, but it is what the published pipeline gives these weights.
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

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.adapters import LORA_FILE, load_lora, only_file
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig
from models.errors import BadWeightsError

CHANNELS = 5
_NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}
_BATCH = {"float32": 4}
"""Pictures drawn at once, by dtype, one where not listed: a batch sums in another order than a single
picture does, which is a level in float32 and more than a seed may differ by in half precision."""


class Schedule(NamedTuple):
    """How a picture is drawn."""

    scheduler: type[Any]
    steps: int
    guidance: float


WITH_LORA = Schedule(LCMScheduler, 8, 1.0)
WITHOUT_LORA = Schedule(EulerAncestralDiscreteScheduler, 20, 5.0)
THOROUGH = Schedule(EulerAncestralDiscreteScheduler, 30, 5.0)
_LCM_GUIDANCE = 1.5
"""Reads a negative prompt, which guidance 1 does not; LCM LoRAs bear 1 to 2 (Luo et al., "LCM-LoRA: A
Universal Stable-Diffusion Acceleration Module", 2023)."""


class _Pipeline(StableDiffusionXLControlNetPipeline):  # type: ignore[misc]
    """diffusers' pipeline, for a control at the size of the latents instead of the picture's."""

    def prepare_latents(
        self, batch: int, channels: int, height: int, width: int, *args: Any, **named: Any
    ) -> torch.Tensor:
        """Return the noise to start from; height and width: the control's."""
        this: Any = self
        inherited: Any = super()
        scale = this.vae_scale_factor
        latents: torch.Tensor = inherited.prepare_latents(
            batch, channels, height * scale, width * scale, *args, **named
        )
        return latents


class _Base:
    """The SDXL model that several ControlNets steer, with a fast view of its UNet; held once for all."""

    def __init__(
        self, folder: Path, fast_lora: Path | None, device_config: DeviceConfig, vae: Path | None
    ) -> None:
        self.plain = diffusion.load_pipeline(StableDiffusionXLPipeline, folder, device_config)
        if vae is not None:
            where = self.plain.vae.device
            dtype = diffusion.torch_dtype(device_config)
            self.plain.vae = diffusion.load_component(AutoencoderKL, vae, dtype).to(where)
        self.fast_unet = None
        if fast_lora is not None:
            fast = copy.copy(self.plain)
            fast.unet = diffusion.view(self.plain.unet)
            load_lora(fast, only_file(fast_lora, LORA_FILE))
            self.fast_unet = fast.unet


_Key = tuple[Path, Path | None, DeviceConfig, Path | None]
_LOADED: weakref.WeakValueDictionary[_Key, _Base] = weakref.WeakValueDictionary()


def _base(
    folder: Path, fast_lora: Path | None, device_config: DeviceConfig, vae: Path | None
) -> _Base:
    """Return a base, loaded once for as long as any role holds it; to be called under LOADING."""
    lora, fix = (path and path.resolve() for path in (fast_lora, vae))
    key = (folder.resolve(), lora, device_config, fix)
    base = _LOADED.get(key)
    if base is None:
        _LOADED[key] = base = _Base(folder, fast_lora, device_config, vae)
    return base


class LatentControl:
    """Draws pictures under a control; safe to call from several threads, one at a time on a device."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        fast_lora: Path | None,
        device_config: DeviceConfig,
        vae: Path | None = None,
    ) -> None:
        """Load from folders in hub layout; raises BadWeightsError naming the file.

        base: an SDXL repository, shared by all that are given the same. fast_lora: an LCM LoRA, its
        file or folder. vae: in place of the base's, as one that bears float16.
        """
        self._device_config = device_config
        with LOADING:
            network = _controlnet(controlnet, diffusion.torch_dtype(device_config))
            self._base = _base(base, fast_lora, device_config, vae)
            self._plain = _steered(self._base.plain, network)
            if not diffusion.offloads(device_config):
                network.to(device_config.device)
            self._fast = None
            if self._base.fast_unet is not None:
                self._fast = copy.copy(self._plain)
                self._fast.unet = self._base.fast_unet
        scale = self._plain.vae_scale_factor
        side = self._plain.unet.config.sample_size * scale
        self.sizes = SizeRule(multiple=min(8 * scale, side), area=side * side, least=side // 2)

    def schedule(self, *, fast: bool, guided: bool = False) -> Schedule:
        """Choose how to draw; guided: a negative prompt is to count in the fast way too."""
        if not fast:
            return THOROUGH
        if self._fast is None:
            return WITHOUT_LORA
        return WITH_LORA._replace(guidance=_LCM_GUIDANCE) if guided else WITH_LORA

    def draw(
        self,
        shown: Rgb,
        flag: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        how: Schedule,
    ) -> list[Rgb]:
        """Return one picture for each seed under the control of a picture and of its mask.

        Raises ValueError where a side is no multiple of 8, and CallerDisconnectedError.
        """
        if any(side % self._plain.vae_scale_factor for side in flag.shape):
            raise ValueError(f"sides of {flag.shape[1]}x{flag.shape[0]} are not multiples of 8")
        most = _BATCH.get(self._device_config.dtype, 1)
        made: list[Rgb] = []
        for first in range(0, len(seeds), most):
            batch = seeds[first : first + most]
            with diffusion.generating(self._device_config):
                made += self._batch(shown, flag, prompt, negative_prompt, batch, how)
        return made

    def _batch(
        self,
        shown: Rgb,
        flag: Mask,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        how: Schedule,
    ) -> list[Rgb]:
        shared = self._fast if how.scheduler is LCMScheduler else self._plain
        pipe = diffusion.for_one_call(shared, self._device_config, how.scheduler(**_NOISE))
        negative = negative_prompt if how.guidance > 1 else None
        latents = pipe(
            **diffusion.encode_prompts(pipe, self._device_config, prompt, negative, len(seeds)),
            image=self._control(pipe, shown, flag),
            num_inference_steps=how.steps,
            guidance_scale=how.guidance,
            controlnet_conditioning_scale=1.0,
            target_size=flag.shape,
            # One for each picture: a single one would draw the second otherwise than alone.
            generator=diffusion.generators(seeds),
            callback_on_step_end=diffusion.stop_if_abandoned,
            output_type="latent",
        ).images
        # One after the other: the VAE takes more memory than all the rest.
        return [_decode(pipe.vae, latent[None]) for latent in latents]

    def _control(self, pipe: Any, shown: Rgb, flag: Mask) -> torch.Tensor:
        """Return the control, 1 x 5 x height / 8 x width / 8: latents, then the mask at their size.

        The mask is scaled by nearest neighbour. The latents are the mode of what the VAE gives, not a
        sample, so that a control is the same for every seed.
        """
        scale = pipe.vae_scale_factor
        pixels = torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1)))[None]
        with _in_range(pipe.vae) as vae:
            values = pixels.to(self._device_config.device, vae.dtype) / 127.5 - 1
            latents = vae.encode(values).latent_dist.mode() * vae.config.scaling_factor
        small = torch.from_numpy(np.ascontiguousarray(flag[::scale, ::scale]))
        return torch.cat([latents, small[None, None].to(latents)], dim=1)


def _decode(shared: Any, latents: torch.Tensor) -> Rgb:
    """Return the picture of 1 x 4 x height / 8 x width / 8 latents."""
    with _in_range(shared) as vae:
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    if not torch.isfinite(pixels).all():
        raise FloatingPointError(f"the model gave no numbers in {latents.dtype}")
    values = pixels[0].float().permute(1, 2, 0).add(1).mul(127.5).round().clamp(0, 255)
    picture: Rgb = values.to("cpu", torch.uint8).numpy()
    return picture


@contextmanager
def _in_range(vae: Any) -> Iterator[Any]:
    """Hold a VAE in float32 if float16 would overflow in it; to be called alone on the device."""
    moved = vae.dtype == torch.float16 and vae.config.force_upcast
    if moved:
        vae.to(torch.float32)
    try:
        yield vae
    finally:
        if moved:
            vae.to(torch.float16)


def _controlnet(folder: Path, dtype: torch.dtype) -> Any:
    """Load a ControlNet and let it keep its control's size; raises BadWeightsError."""
    network = diffusion.load_component(ControlNetModel, folder, dtype)
    if network.config.conditioning_channels != CHANNELS:
        raise BadWeightsError(
            f"{folder}: a ControlNet that reads {network.config.conditioning_channels} channels "
            f"instead of {CHANNELS}, latents and a mask"
        )
    for layer in network.controlnet_cond_embedding.blocks:
        layer.stride = (1, 1)
    return network


def _steered(base: Any, network: Any) -> Any:
    """Return a pipeline of a base's own parts and a ControlNet.

    Not by `from_pipe`, which would cast the shared parts to float32.
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
