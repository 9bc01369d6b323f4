"""Edits by words with Bria's Fibo-Edit 1.5.

The model was trained on JSON objects with an `edit_instruction`, and its pipeline takes nothing else.
Bria makes a long object of the caller's words with a vision-language model, which is not part of this
server: here the object has the words alone. diffusers' example of `BriaFiboEditPipeline` says 4 steps
without guidance for briaai/Fibo-Edit-1.5-turbo, and 30 steps with guidance 5 for the model it is
distilled from. Nothing was run with the published weights: tests use tiny models of the same classes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import diffusers
from torch import nn

from imaging.picture import Mask, Rgb
from imaging.resize import Size, SizeRule
from models.backends.diffusion import diffusion
from models.backends.diffusion.literal_text import literal_text
from models.backends.diffusion.micro_batches import ROWS, for_all_seeds
from models.backends.diffusion.reference_pictures import check_request, reference_pictures
from models.device import DeviceConfig

_Edit: Any = diffusers.BriaFiboEditPipeline  # untyped

_TURBO_STEPS = 4
_TURBO_GUIDANCE = 1.0
_GUIDANCE_WITH_NEGATIVE = 1.5
"""A judgement, as for FLUX.2 klein: the distilled model needs no guidance, but without it a negative
prompt would have no effect."""
_KEY = "edit_instruction"
_MAX_TOKENS = 2900
"""Of the 3,000 that the pipeline reads; the rest is for the JSON around the words."""
_MAX_NESTED = 200
"""Lists and objects in words that are taken for JSON; the pipeline reads them once more, recursively."""
_MULTIPLE = 32
"""Of the sides of a result: the pipeline warns of others."""
_PATCH = 16
"""Width and height, in pixels, of one token of the transformer."""
_BY_ROW = (*ROWS, "text_encoder_layers", "joint_attention_kwargs")
_SIDE = 1024
_GREY = 128
"""What hides the region to edit, in `paste_mask_on_image` of the pipeline."""


class FiboEdit:
    """Implements the role `models.roles.InstructionEditing`.

    Words are literal; their end is cut where they have more than 2,900 tokens. Words that are a JSON
    object with an `edit_instruction` already, as Bria's own tools make, are passed on as they are. A
    hole is painted grey in the first picture, as the pipeline does with a mask; it takes one only with
    a single picture, so it is done here.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig,
        steps: int = _TURBO_STEPS,
        guidance: float = _TURBO_GUIDANCE,
        side: int = _SIDE,
    ) -> None:
        """Load from a folder in hub layout; raises BadWeightsError.

        steps, guidance: 30 and 5 for a model that is not distilled. side: of a square picture at the
        model's own area, in pixels.
        """
        self._device_config = device_config
        self._pipe = diffusion.load_pipeline(_Edit, folder, device_config)
        self._pipe.vae.enable_slicing()  # one picture of a batch after the other
        self._steps, self._guidance = steps, guidance
        multiple = min(_MULTIPLE, side // 2)
        self.sizes = SizeRule(multiple=multiple, area=side * side, least=side // 2)

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        steps: int = _TURBO_STEPS,
        guidance: float = _TURBO_GUIDANCE,
        side: int = _SIDE,
    ) -> Self:
        """Load the model of a card; paths: the pipeline."""
        return cls(paths[0], device_config, steps, guidance, side)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return diffusion.networks_of(self._device_config, self._pipe)

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
        """Return one picture of `size` for each seed; see the role.

        Prompts and pictures are encoded once. A seed has the same picture alone and among others.
        Raises ValueError for more than 4 pictures, for a hole without a picture of its size, and for
        sides that are not multiples of 16; WorkCancelledError if nobody waits any more
        (`models.deadline`); and FloatingPointError if the result contains NaN.
        """
        check_request(pictures, size, hole, _PATCH)
        if hole is not None and not hole.any():
            return [pictures[0].copy() for _ in seeds]
        if not seeds:
            return []
        seen = list(pictures)
        if hole is not None:
            seen[0] = pictures[0].copy()
            seen[0][hole] = _GREY
        with diffusion.generating(self._device_config):
            pipe = for_all_seeds(self._pipe, self._device_config, _BY_ROW)
            result = pipe(
                **self._words(pipe, prompt, negative_prompt, guidance),
                image=reference_pictures(seen, size, _PATCH, _PATCH) or None,
                width=size[0],
                height=size[1],
                num_inference_steps=max(1, round(self._steps * effort)),
                num_images_per_prompt=len(seeds),
                generator=diffusion.generators(seeds),
                output_type="np",
                callback_on_step_end=diffusion.check_deadline,
            ).images
        return diffusion.to_rgb(result, self._device_config)

    def _words(self, pipe: Any, prompt: str, negative: str, weight: float) -> dict[str, Any]:
        guided = bool(negative.strip())
        own = max(self._guidance, _GUIDANCE_WITH_NEGATIVE) if guided else self._guidance
        return {
            "prompt": _structured(literal_text(pipe.tokenizer, prompt, _MAX_TOKENS)),
            "negative_prompt": literal_text(pipe.tokenizer, negative, _MAX_TOKENS),
            "guidance_scale": 1 + (own - 1) * weight,
        }


def _structured(words: str) -> str:
    """Return the JSON object of an instruction. Words that are one with the key stay as they are."""
    plain = json.dumps({_KEY: words})
    if words.count("[") + words.count("{") > _MAX_NESTED:
        return plain
    try:
        given = json.loads(words)
    except ValueError:
        return plain
    return words if isinstance(given, dict) and _KEY in given else plain
