"""The inpainting pipeline, in memory once and shared by every role that uses it: SDXL, or a subclass."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import diffusers
import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from imaging.picture import Mask, Rgb
from imaging.resize import SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.adapters import (
    fuse_lora,
    load_ip_adapter,
    load_lora,
    share_ip_adapter,
)
from models.backends.diffusion.shared import shared
from models.backends.diffusion.shared_encoding import SdxlInpaint
from models.backends.torch.graphs import graphs_for, replaying
from models.backends.torch.loading import LOADING
from models.device import DeviceConfig

_BATCH = 4
"""Largest batch. With guidance its UNet needs less memory than the VAE does for one picture, and the VAE
takes one after the other, so that a batch needs hardly more than one picture
(docs/decisions/0032-fused-lora-and-batches.md)."""
LCM_GUIDED = 1.5
"""Guidance of a fast LoRA where a negative prompt comes. LCM LoRAs work with 1 to 2 (Luo et al.,
"LCM-LoRA: A Universal Stable-Diffusion Acceleration Module", 2023). For Lightning LoRAs it is a
judgement, not tried."""


@dataclass(frozen=True)
class Recipe:
    """How a picture is generated.

    steps: number of denoising steps. guidance: weight of the prompt. At 1 and below it has no second
    pass, which a negative prompt needs: with one, guidance is at least `with_negative`. strength:
    above 0, at most 1; 1 starts from noise only. scheduler: the name of a class of diffusers; None
    means the repository's own. spacing: the scheduler's `timestep_spacing`; None means its own.
    """

    steps: int
    guidance: float
    strength: float
    scheduler: str | None = None
    spacing: str | None = None
    with_negative: float = LCM_GUIDED

    def for_negative(self, negative_prompt: str) -> "Recipe":
        """Return the recipe for a call with this negative prompt, which has an effect unless it is blank."""
        if not negative_prompt.strip():
            return self
        return replace(self, guidance=max(self.guidance, self.with_negative))


@dataclass(frozen=True)
class Adapters:
    """The adapters of a UNet: the file of a LoRA and the file of an IP-Adapter, each optional."""

    lora: Path | None = None
    ip_adapter: Path | None = None


@dataclass(frozen=True)
class Guide:
    """The picture for an IP-Adapter, and its influence: above 0, at most 1."""

    picture: Rgb
    influence: float = 1.0

    def arguments(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return the arguments of a call at `size` (height, width).

        The adapter's scale belongs to all calls. A mask of one value weights what it adds in this call.
        """
        arguments: dict[str, Any] = {"ip_adapter_image": Image.fromarray(self.picture)}
        if self.influence < 1:
            mask = torch.full((1, 1, *size), self.influence)
            arguments["cross_attention_kwargs"] = {"ip_adapter_masks": [mask]}
        return arguments


class SdxlPipeline:
    """A loaded pipeline with a view of its UNet for each set of adapters.

    All views share the weights. sizes: the sizes that it works at. Raises BadWeightsError. Not
    tested with full weights. A subclass with another class of diffusers changes the four attributes.
    kind: that class. settings: further arguments for loading it. multiple: of the sides, so that the
    UNet halves the latents without padding. batch: the largest number of pictures made together.
    graphs: the CUDA graphs of its device, or None.
    """

    kind: ClassVar[Any] = SdxlInpaint
    settings: ClassVar[Mapping[str, Any]] = {"add_watermarker": False}
    multiple: ClassVar[int] = 32
    batch: ClassVar[int] = _BATCH

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        vae: Path | None = None,
        fused: Path | None = None,
    ) -> None:
        """Load from a folder in hub layout.

        vae: a folder with a VAE, used instead of the pipeline's own. fused: the file of a LoRA that is
        added to the weights of the UNet, for all calls.
        """
        self._device_config = device_config
        self.graphs = graphs_for(device_config)
        settings = dict(self.settings)
        if vae is not None:
            dtype = diffusion.torch_dtype(device_config)
            settings["vae"] = diffusion.load_component(diffusers.AutoencoderKL, vae, dtype)
        self._plain = diffusion.load_pipeline(self.kind, folder, device_config, **settings)
        if fused is not None:
            fuse_lora(self._plain, fused)
        self._plain.vae.enable_slicing()  # one picture of a batch after the other
        self._pipes: dict[Adapters, Any] = {Adapters(): self._plain}
        side = self._plain.unet.config.sample_size * self._plain.vae_scale_factor
        multiple = min(self.multiple, side // 2)
        self.sizes = SizeRule(multiple=multiple, area=side * side, least=side // 2)

    def prepare(self, adapters: Adapters) -> None:
        """Load adapters, if they are not loaded yet; raises BadWeightsError."""
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

    def networks(self, *adapters: Adapters) -> list[nn.Module]:
        """Return the modules of the pipeline with some adapters, which must be prepared, and without any."""
        pipes = [self._pipes[each] for each in (Adapters(), *adapters)]
        return diffusion.networks_of(self._device_config, *pipes)

    def _view(self, of: Adapters) -> Any:
        pipe = copy.copy(self._pipes[of])
        pipe.unet = diffusion.view(pipe.unet)
        return pipe

    def _load_ip_adapter(self, pipe: Any, file: Path) -> None:
        """Load an IP-Adapter into a view.

        Its image encoder is found as in the layout of h94/IP-Adapter.
        """
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
        guide: Guide | None = None,
    ) -> list[Rgb]:
        """Return one picture for each seed, at the size of `rgb`.

        hole: True where the picture is generated. negative_prompt: has an effect with any recipe,
        unless it is blank. adapters: must be prepared before. guide: for an
        IP-Adapter. Raises ValueError if a side is not a multiple of 8,
        WorkCancelledError if nobody waits any more (`models.deadline`), and FloatingPointError if
        the result contains NaN.
        """
        if any(side % 8 for side in hole.shape):
            raise ValueError(f"sides of {hole.shape[1]}x{hole.shape[0]} are not multiples of 8")
        shared = self._pipes[adapters or Adapters()]
        negative_prompt = negative_prompt.strip()
        recipe = recipe.for_negative(negative_prompt)
        negative = negative_prompt if recipe.guidance > 1 else None
        size = min(self.batch, len(seeds))
        pictures: list[Rgb] = []
        with diffusion.generating(self._device_config):
            pipe = diffusion.for_one_call(shared, self._device_config, shared.scheduler)
            pipe.encoded = []
            inputs = diffusion.encode_prompts(pipe, self._device_config, prompt, negative, size)
            inputs |= {} if guide is None else guide.arguments(hole.shape)
            for first in range(0, len(seeds), size):
                batch = seeds[first : first + size]
                pipe.scheduler = _scheduler(shared, recipe)
                passes = len(batch) if negative is None else 2 * len(batch)
                with replaying(self.graphs, passes, pipe.unet):
                    pictures += self._batch(pipe, rgb, hole, batch, recipe, inputs)
        return pictures

    def _batch(
        self,
        pipe: Any,
        rgb: Rgb,
        hole: Mask,
        seeds: Sequence[int],
        recipe: Recipe,
        inputs: Mapping[str, Any],
    ) -> list[Rgb]:
        """Return one picture for each seed, made together.

        inputs: further arguments of the pipeline; embeddings are for at least as many pictures.
        """
        count = len(seeds)
        result = pipe(
            image=Image.fromarray(rgb),
            mask_image=Image.fromarray(hole.astype(np.uint8) * np.uint8(255)),
            generator=diffusion.generators(seeds),
            height=rgb.shape[0],
            width=rgb.shape[1],
            strength=recipe.strength,
            num_inference_steps=diffusion.steps_for(recipe.strength, recipe.steps),
            guidance_scale=recipe.guidance,
            output_type="np",
            callback_on_step_end=diffusion.check_deadline,
            **{
                name: value[:count] if name.endswith("embeds") else value
                for name, value in inputs.items()
            },
        ).images
        return diffusion.to_rgb(result, self._device_config)


def _scheduler(pipe: Any, recipe: Recipe) -> Any:
    """Return a new noise scheduler for one call."""
    own = pipe.scheduler
    kind = getattr(diffusers, recipe.scheduler) if recipe.scheduler else type(own)
    changes = {"timestep_spacing": recipe.spacing} if recipe.spacing else {}
    return kind.from_config(own.config, **changes)


def shared_pipeline(
    folder: Path,
    device_config: DeviceConfig,
    kind: type[SdxlPipeline] = SdxlPipeline,
    vae: Path | None = None,
    fused: Path | None = None,
) -> SdxlPipeline:
    """Return the pipeline of a folder, loaded once while any role uses it; raises BadWeightsError.

    vae, fused: as in `SdxlPipeline`. Pipelines that differ in them share no weights.
    """
    paths = {"vae": vae, "fused": fused}
    options = {name: path.resolve() for name, path in paths.items() if path is not None}
    return shared(kind, folder, device_config, **options)


def without_vae(paths: Sequence[Path], has_vae: bool) -> tuple[Sequence[Path], Path | None]:
    """Return a card's paths without that of a VAE, and that path. has_vae: whether it is there, as the last."""
    return (paths[:-1], paths[-1]) if has_vae else (paths, None)
