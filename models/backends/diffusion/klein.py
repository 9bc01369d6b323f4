"""Edits by words with FLUX.2 klein, and pictures from words alone.

The model card of black-forest-labs/FLUX.2-klein-4B (Apache-2.0) says 4 steps and guidance 1: it is
distilled, and one pass of the transformer makes each step. The published files were not run here:
tests use tiny models of the same classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import diffusers
import numpy as np
import torch
from PIL import Image
from torch import nn

from imaging.masks import touched_blocks
from imaging.picture import Mask, Rgb
from imaging.resize import Size, SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.editing_model import SIDE, EditingRole, edit
from models.backends.diffusion.literal_text import literal_text
from models.backends.diffusion.micro_batches import ROWS, for_all_seeds
from models.backends.diffusion.reference_pictures import check_request, reference_pictures
from models.device import DeviceConfig

_Klein: Any = diffusers.Flux2KleinPipeline  # untyped
_KleinInpaint: Any = diffusers.Flux2KleinInpaintPipeline  # untyped

_MAX_TOKENS = 512
"""Length of the text encoder's input, with its template (`Flux2KleinPipeline.tokenizer_max_length`)."""
_PATCH = 16
"""Width and height, in pixels, of one token of the transformer: 2 x 2 latents of 8 x 8 pixels."""
_ROUNDING = 1000 / 1024
"""The model's area is a little smaller than the pipeline's limit of one megapixel, since sides are
rounded up too: above that limit, the pipeline resizes a picture itself."""
_BY_ROW = (*ROWS, "txt_ids", "img_ids")
_LEAST_REFERENCE = 64
"""Shortest side that the pipeline accepts for a picture (`Flux2ImageProcessor.check_image_input`)."""


class Recipe(NamedTuple):
    """Number of denoising steps; weight of the prompt; the same when there is a negative prompt."""

    steps: int
    guidance: float
    with_negative: float


_DISTILLED = Recipe(4, 1.0, 1.5)
"""From the model card of klein-4B; 1.5 is a judgement, not tried on the published weights: a distilled
model needs no guidance, but without it a negative prompt would have no effect."""
_BASE = Recipe(28, 4.0, 4.0)
"""For klein-base-4B. Guidance 4 is from its model card, which takes 50 steps; 28 are a judgement."""


class _Inpaint(_KleinInpaint):  # type: ignore[misc]
    """diffusers' pipeline, for any number of further pictures; its own `image_reference` is one."""

    references: ClassVar[Sequence[torch.Tensor]] = ()

    def prepare_image_latents(self, images: list[torch.Tensor], *args: Any, **named: Any) -> Any:
        """Return latents and positions of the picture and of all references, in their order."""
        return super().prepare_image_latents([*images, *self.references], *args, **named)


class KleinPipeline:
    """A loaded klein: one set of weights, for edits of whole pictures and of holes.

    side: of a square picture at the model's own area, in pixels. sizes: the sizes of results. Several
    threads may use it. Raises BadWeightsError. Not tested with full weights.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig, side: int = SIDE) -> None:
        self._device_config = device_config
        self._plain = diffusion.load_pipeline(_Klein, folder, device_config)
        self._plain.vae.enable_slicing()  # one picture of a batch after the other
        distilled = self._plain.config.is_distilled
        self._inpaint = _Inpaint(**self._plain.components, is_distilled=distilled)
        self._inpaint.set_progress_bar_config(disable=True)
        self._recipe = _DISTILLED if distilled else _BASE
        self.sizes = SizeRule(_PATCH, area=int(side * side * _ROUNDING), least=side // 2)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return diffusion.networks_of(self._device_config, self._plain)

    @property
    def language_model(self) -> tuple[Any, Any]:
        """The text encoder, which is a whole Qwen3, and its tokenizer."""
        return self._plain.text_encoder, self._plain.tokenizer

    def generate(
        self,
        pictures: Sequence[Rgb],
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        size: Size,
        hole: Mask | None = None,
        strength: float = 1.0,
        effort: float = 1.0,
        guidance: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture of `size` for each seed; see the role `models.roles.InstructionEditing`.

        Prompt and pictures are encoded once. A seed has the same picture alone and among others.
        strength: above 0, at most 1. Below 1, the first picture, which must have `size`, shows
        through in the hole, or everywhere without one: the first steps are left out. Raises
        ValueError for more than 4 pictures, for a hole without a picture of its size, and for sides
        that are not multiples of 16; WorkCancelledError if nobody waits any more
        (`models.deadline`); and FloatingPointError if the result contains NaN.
        """
        check_request(pictures, size, hole, _PATCH)
        if hole is not None and not hole.any():
            return [pictures[0].copy() for _ in seeds]
        if not seeds:
            return []
        if hole is None and strength < 1:
            hole = np.ones((size[1], size[0]), np.bool_)
        with diffusion.generating(self._device_config):
            loaded = self._plain if hole is None else self._inpaint
            pipe = for_all_seeds(loaded, self._device_config, _BY_ROW)
            inputs = self._words(pipe, prompt, negative_prompt, guidance)
            if hole is None:
                inputs |= self._whole(pictures, size)
            else:
                inputs |= self._part(pipe, pictures, hole, strength)
            result = pipe(
                **inputs,
                num_inference_steps=max(1, round(self._recipe.steps * effort)),
                num_images_per_prompt=len(seeds),
                generator=diffusion.generators(seeds),
                output_type="np",
                callback_on_step_end=diffusion.check_deadline,
            ).images
        return diffusion.to_rgb(result, self._device_config)

    def _words(self, pipe: Any, prompt: str, negative: str, weight: float) -> dict[str, Any]:
        """Return the arguments for the prompt, and set the pipeline up for a negative one."""
        guided = bool(negative.strip())
        own = self._recipe.with_negative if guided else self._recipe.guidance
        scale = 1 + (own - 1) * weight
        inputs = {"prompt": self._literal(pipe, prompt), "guidance_scale": scale}
        if guided and scale > 1:
            # The copy of this call only. The pipeline takes no text of its own for the second pass.
            pipe.register_to_config(is_distilled=False)
            inputs["negative_prompt_embeds"] = pipe.encode_prompt(self._literal(pipe, negative))[0]
        return inputs

    def _literal(self, pipe: Any, text: str) -> str:
        """Return a text that fits the encoder together with the template, whose end must not be cut."""
        empty = pipe.tokenizer.apply_chat_template(
            [{"role": "user", "content": ""}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        used = len(pipe.tokenizer(empty)["input_ids"])
        return literal_text(pipe.tokenizer, text, _MAX_TOKENS - used)

    def _whole(self, pictures: Sequence[Rgb], size: Size) -> dict[str, Any]:
        """Return the arguments for an edit of a whole picture, or for a new one."""
        images = reference_pictures(pictures, size, _PATCH, _LEAST_REFERENCE)
        return {"image": images or None, "width": size[0], "height": size[1]}

    def _part(
        self, pipe: Any, pictures: Sequence[Rgb], hole: Mask, strength: float
    ) -> dict[str, Any]:
        """Return the arguments for an edit of a hole. Every token that the hole touches may change.

        The pipeline itself would look at the middle of each token, and lose a thin hole.
        """
        size = hole.shape[1], hole.shape[0]
        references = reference_pictures(pictures[1:], size, _PATCH, _LEAST_REFERENCE)
        pipe.references = [pipe.image_processor.preprocess(image) for image in references]
        mask = np.kron(touched_blocks(hole, _PATCH), np.full((_PATCH, _PATCH), 255, np.uint8))
        return {
            "image": Image.fromarray(pictures[0]),
            "mask_image": Image.fromarray(mask),
            "strength": strength,
        }


class KleinEdit(EditingRole[KleinPipeline]):
    """Implements the role `models.roles.InstructionEditing`.

    Words are literal. The end of words beyond the text encoder's 512 tokens, about 380 English
    words, is cut. A distilled model uses guidance only with a negative prompt. Pictures of more than
    one megapixel are reduced.
    """

    kind = KleinPipeline

    def edit(
        self,
        pictures: Sequence[Rgb],
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        size: Size,
        *,
        hole: Mask | None = None,
        effort: float = 1.0,
        guidance: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture of `size` for each seed; see the role."""
        return edit(
            self._pipeline, pictures, prompt, negative_prompt, seeds, size, hole, effort, guidance
        )
