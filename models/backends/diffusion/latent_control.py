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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from diffusers import (
    EulerAncestralDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLControlNetPipeline,
    UNet2DConditionModel,
)
from torch import nn

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule
from models.backends.diffusion import diffusion, image_prompt
from models.backends.diffusion.adapters import share_ip_adapter
from models.backends.diffusion.bria_base import BriaBase, load_controlnet
from models.backends.diffusion.image_prompt import load_image_prompt
from models.backends.diffusion.known_latents import KnownLatents
from models.backends.diffusion.published import load_published
from models.backends.diffusion.sdxl_pipeline import Guide
from models.backends.diffusion.shared import shared
from models.backends.torch.graphs import drop_moving, graphs_for, replaying
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig

_NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "steps_offset": 1,
}
"""Of the slow scheduler, from the program on the model card of BRIA-2.3-ControlNet-BG-Gen."""
_BATCH = 4
"""Largest batch, which the memory of the cards has room for (docs/decisions/0036-one-call-for-all-results.md)."""


class Schedule(NamedTuple):
    """How a picture is generated: by the slow UNet or the fast one, in how many steps, at which guidance."""

    slow: bool
    steps: int
    guidance: float


@dataclass(frozen=True)
class Request:
    """What to generate: a control and its mask, words, and how.

    known: the picture that is restored outside the mask after each step; None: none. begun: whether to begin
    from it. guide: a picture that describes what to generate; needs an Image-Prompt.
    """

    control: Rgb
    mask: Mask
    prompt: str
    negative_prompt: str
    schedule: Schedule
    known: Rgb | None = None
    begun: bool = False
    guide: Guide | None = None


class _Pipeline(StableDiffusionXLControlNetPipeline):  # type: ignore[misc]
    """diffusers' pipeline, changed for a control at the size of the latents, not of the picture.

    known: of the current call; set on a copy for that call.
    """

    known: ClassVar[KnownLatents | None] = None

    def prepare_latents(
        self, batch: int, channels: int, height: int, width: int, *args: Any, **named: Any
    ) -> torch.Tensor:
        """Return what to begin from. height, width: of the control."""
        this: Any = self
        inherited: Any = super()
        scale = this.vae_scale_factor
        latents: torch.Tensor = inherited.prepare_latents(
            batch, channels, height * scale, width * scale, *args, **named
        )
        return latents if this.known is None else this.known.begin(this.scheduler, latents)


class LatentControl:
    """A generator of pictures that follow a control.

    sizes: the sizes of pictures. guided: whether a picture may describe what to generate. graphs: those of
    its device, or None; slow calls have none, because their UNet comes to the device for each. Several
    threads may use it, one call at a time per device.
    """

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        device_config: DeviceConfig,
        slow: Path | None = None,
        image_prompt: Path | None = None,
    ) -> None:
        """Load from folders in hub layout; raises BadWeightsError that names the file.

        base: see `BriaBase`; instances with the same base share its weights. slow: a folder with the
        `unet/` of BRIA 2.3 itself, for schedules that are slow; it waits in main memory. image_prompt:
        briaai/Image-Prompt.
        """
        self._device_config = device_config
        self.graphs = graphs_for(device_config)
        self._base = shared(BriaBase, base, device_config)
        with LOADING:
            dtype = diffusion.torch_dtype(device_config)
            network = load_controlnet(controlnet, dtype)
            if not diffusion.offloads(device_config):
                network.to(device_config.device)
            self._pipes = {False: _pipeline(self._base.pipe, network)}
            if slow is not None:
                self._pipes[True] = copy.copy(self._pipes[False])
                self._pipes[True].unet = load_published(UNet2DConditionModel, slow / "unet", dtype)
            self._guided = self._with_image_prompt(image_prompt)
        scale = self._base.pipe.vae_scale_factor
        side = self._base.pipe.unet.config.sample_size * scale
        self.sizes = SizeRule(multiple=min(8 * scale, side), area=side * side, least=side // 2)
        self.guided = bool(self._guided)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights on the device; see `models.runtime.slots.HasNetworks`.

        The UNet of slow schedules is none of them: it waits in main memory.
        """
        pipes = [self._pipes[False], *([self._guided[False]] if self._guided else [])]
        return diffusion.networks_of(self._device_config, *pipes)

    def _with_image_prompt(self, folder: Path | None) -> dict[bool, Any]:
        """Return pipelines with the adapter, on views of the UNets: calls without it must not change."""
        if folder is None:
            return {}
        pipes = {}
        for slow, pipe in self._pipes.items():
            pipes[slow] = copy.copy(pipe)
            pipes[slow].unet = diffusion.view(pipe.unet)
            if slow:
                share_ip_adapter(pipes[False], pipes[True])
            else:
                load_image_prompt(pipes[slow], folder, self._device_config)
        return pipes

    def generate(self, request: Request, seeds: Sequence[int]) -> list[Rgb]:
        """Return one picture for each seed, of the size of the control.

        Raises ValueError if a side is not a multiple of 8, WorkCancelledError if nobody waits any
        more, and FloatingPointError if the result contains NaN.
        """
        shape = request.mask.shape
        if any(side % self._base.pipe.vae_scale_factor for side in shape):
            raise ValueError(f"sides of {shape[1]}x{shape[0]} are not multiples of 8")
        if not seeds:
            return []
        with self._resident(request.schedule.slow), diffusion.generating(self._device_config):
            return self._pictures(request, seeds)

    @contextmanager
    def _resident(self, slow: bool) -> Iterator[None]:
        """Put the slow UNet in the place of the fast one for a slow call, as only one fits beside the rest.

        Both are 4.9 GB. No other call may run on the device at the same time.
        """
        config = self._device_config
        if not slow or config.device == "cpu" or diffusion.offloads(config):
            yield
            return
        fast_unet, slow_unet = self._base.pipe.unet, self._pipes[True].unet
        drop_moving(fast_unet.parameters())
        fast_unet.to("cpu")
        try:
            slow_unet.to(config.device)
            yield
        finally:
            slow_unet.to("cpu")
            fast_unet.to(config.device)

    def _pictures(self, request: Request, seeds: Sequence[int]) -> list[Rgb]:
        """Return one picture for each seed. Words and pictures are encoded once for all of them."""
        slow, _, guidance = request.schedule
        loaded = (self._pipes if request.guide is None else self._guided)[slow]
        pipe = diffusion.for_one_call(loaded, self._device_config, self._scheduler(slow))
        negative = request.negative_prompt if guidance > 1 else None
        size = min(_BATCH, len(seeds))
        words = diffusion.encode_prompts(pipe, self._device_config, request.prompt, negative, size)
        seen = self._encoded(pipe, request.control)
        known = seen
        if request.known is not None and request.known is not request.control:
            known = self._encoded(pipe, request.known)
        pictures: list[Rgb] = []
        for first in range(0, len(seeds), size):
            pipe.scheduler = self._scheduler(slow)
            pictures += self._batch(pipe, request, seeds[first : first + size], words, seen, known)
        return pictures

    def _batch(
        self,
        pipe: Any,
        request: Request,
        seeds: Sequence[int],
        words: Mapping[str, torch.Tensor],
        seen: torch.Tensor,
        known: torch.Tensor,
    ) -> list[Rgb]:
        """Return one picture for each seed, made together.

        words: embeddings for at least as many pictures. seen, known: latents of the control and of the
        known picture.
        """
        mask = _small_mask(pipe, request.mask).to(seen)
        after_step: Any = diffusion.check_deadline
        if request.known is not None:
            pipe.known = KnownLatents(known, mask == 0, begun=request.begun)
            after_step = pipe.known.after_step
        guide = request.guide
        slow, _, guidance = request.schedule
        passes = 2 * len(seeds) if guidance > 1 else len(seeds)
        with replaying(None if slow else self.graphs, passes, pipe.unet, pipe.controlnet):
            latents = pipe(
                **{name: rows[: len(seeds)] for name, rows in words.items()},
                image=torch.cat([seen, mask], dim=1),
                num_inference_steps=request.schedule.steps,
                guidance_scale=request.schedule.guidance,
                controlnet_conditioning_scale=1.0,
                target_size=request.mask.shape,
                # One generator per picture: with a single one, the second picture would depend on the first.
                generator=diffusion.generators(seeds),
                callback_on_step_end=after_step,
                output_type="latent",
                **(
                    {} if guide is None else image_prompt.arguments(pipe, guide, request.mask.shape)
                ),
            ).images
        # One after the other: the VAE needs more memory than all other networks.
        return [_decode(pipe.vae, latent[None]) for latent in latents]

    def _scheduler(self, slow: bool) -> Any:
        """Return a new noise scheduler for one call; the fast one has the base's own configuration."""
        slow_kind: Any = EulerAncestralDiscreteScheduler
        fast_kind: Any = LCMScheduler
        if slow:
            return slow_kind(**_NOISE)
        return fast_kind.from_config(self._base.pipe.scheduler.config)

    def _encoded(self, pipe: Any, rgb: Rgb) -> torch.Tensor:
        """Return the latents of a picture, 1 x 4 x height / 8 x width / 8.

        They are the mode of the VAE's distribution, not a sample, so that they are the same for
        every seed.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
        with diffusion.without_overflow(pipe.vae) as vae:
            values = pixels.to(self._device_config.device, vae.dtype) / 127.5 - 1
            latents: torch.Tensor = vae.encode(values).latent_dist.mode()
            return (latents * vae.config.scaling_factor).to(pipe.unet.dtype)


def _small_mask(pipe: Any, mask: Mask) -> torch.Tensor:
    """Return a mask at the size of latents, 1 x 1 x height / 8 x width / 8, by nearest neighbour."""
    scale = pipe.vae_scale_factor
    return torch.from_numpy(np.ascontiguousarray(mask[::scale, ::scale]))[None, None]


def _decode(loaded: Any, latents: torch.Tensor) -> Rgb:
    """Return the picture of 1 x 4 x height / 8 x width / 8 latents."""
    with diffusion.without_overflow(loaded) as vae:
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    if not torch.isfinite(pixels).all():
        raise FloatingPointError(f"the result of the model is not finite in {latents.dtype}")
    values = pixels[0].float().permute(1, 2, 0).add(1).mul(127.5).round().clamp(0, 255)
    picture: Rgb = values.to("cpu", torch.uint8).numpy()
    return picture


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
