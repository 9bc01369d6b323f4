"""Edits by words with Qwen-Image-Edit-2511, and pictures from words alone.

The model card of Qwen/Qwen-Image-Edit-2511 (Apache-2.0) says 40 steps, guidance 4 and a blank as the
negative prompt: two passes of the transformer make each step. The published files were not run here:
tests use tiny models of the same classes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus
from numpy.typing import NDArray
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

_module: Any = pipeline_qwenimage_edit_plus
_Edit: Any = diffusers.QwenImageEditPlusPipeline  # untyped
_New: Any = diffusers.QwenImagePipeline  # untyped

_STEPS = 40
_GUIDANCE = 4.0
_NO_NEGATIVE = " "
"""These three are from the model card."""
_LEAST_STEPS = 2
"""One step divides by zero in the published schedule, which stretches the noise levels to a last one."""
_PATCH = 16
"""Width and height, in pixels, of one token of the transformer: 2 x 2 latents of 8 x 8 pixels."""
_MULTIPLE = 32
"""Of the sides of pictures, in the pipeline's `calculate_dimensions`."""
_BY_ROW = (*ROWS, "encoder_hidden_states_mask")
_SIZES = threading.Lock()


class QwenPipeline:
    """A loaded Qwen-Image-Edit: one set of weights, for edits of whole pictures and of holes.

    Pictures of more than one megapixel are reduced; the pipeline itself resizes each to an area of one
    megapixel for the VAE, and to one of 384 x 384 for the text encoder, which sees the pictures too.

    A hole is edited by the same pipeline: after each step, what is outside the hole becomes the
    original again, with the noise of that step. diffusers' QwenImageEditInpaintPipeline is not used: it
    takes one picture, and its template is that of the first Qwen-Image-Edit.

    side: of a square picture at the model's own area, in pixels. sizes: the sizes of results. Several
    threads may use it. Raises BadWeightsError.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig, side: int = SIDE) -> None:
        self._device_config = device_config
        self._edit = diffusion.load_pipeline(_Edit, folder, device_config)
        self._edit.vae.enable_slicing()  # one picture of a batch after the other
        parts = {name: part for name, part in self._edit.components.items() if name != "processor"}
        self._new = _New(**parts)
        self._new.set_progress_bar_config(disable=True)
        self._area = side * side
        multiple = min(_MULTIPLE, side // 2)
        self.sizes = SizeRule(multiple=multiple, area=self._area, least=side // 2)

    @property
    def language_model(self) -> tuple[Any, Any]:
        """The text encoder, which is a whole Qwen2.5-VL, and its tokenizer."""
        return self._edit.text_encoder, self._edit.tokenizer

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return diffusion.networks_of(self._device_config, self._edit)

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
        """Return one picture of `size` for each seed; see `editing_model.EditingModel`.

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
        if hole is None and strength < 1:
            hole = np.ones((size[1], size[0]), np.bool_)
        with diffusion.generating(self._device_config):
            loaded = self._edit if pictures else self._new
            pipe = for_all_seeds(loaded, self._device_config, _BY_ROW)
            inputs = self._words(pipe, prompt, negative_prompt, guidance)
            if pictures:
                inputs["image"] = reference_pictures(pictures, size, _PATCH, _PATCH)
            generators = diffusion.generators(seeds)
            steps = max(_LEAST_STEPS, round(_STEPS * effort))
            levels = np.linspace(1, 1 / steps, steps)
            levels = levels[min(steps - round(steps * strength), steps - _LEAST_STEPS) :]
            inputs |= self._steps(pipe, pictures, hole, levels, generators)
            with self._conditioned():
                result = pipe(
                    **inputs,
                    width=size[0],
                    height=size[1],
                    sigmas=levels,
                    num_images_per_prompt=len(seeds),
                    generator=generators,
                    output_type="np",
                ).images
        return diffusion.to_rgb(result, self._device_config)

    def _words(self, pipe: Any, prompt: str, negative: str, weight: float) -> dict[str, Any]:
        scale = 1 + (_GUIDANCE - 1) * weight
        other = self._literal(pipe, negative)
        return {
            "prompt": self._literal(pipe, prompt),
            "negative_prompt": (other or _NO_NEGATIVE) if scale > 1 else None,
            "true_cfg_scale": scale,
            "max_sequence_length": pipe.tokenizer_max_length,
        }

    def _literal(self, pipe: Any, text: str) -> str:
        """Return a text that fits the encoder together with the template, whose end must not be cut."""
        template = pipe.tokenizer(pipe.prompt_template_encode.format(""))["input_ids"]
        # The encoder reads this many tokens after the part of the template that the pipeline drops.
        most = pipe.tokenizer_max_length + pipe.prompt_template_encode_start_idx
        return literal_text(pipe.tokenizer, text, most - len(template))

    def _steps(
        self,
        pipe: Any,
        pictures: Sequence[Rgb],
        hole: Mask | None,
        levels: NDArray[np.float64],
        generators: list[torch.Generator],
    ) -> dict[str, Any]:
        """Return what happens after each step and, with a hole, the latents to begin from.

        levels: of the noise, before the scheduler shifts them; the first is 1 if all steps are made.
        """
        if hole is None:
            return {"callback_on_step_end": diffusion.check_deadline}
        height, width = hole.shape
        values = pipe.image_processor.preprocess(Image.fromarray(pictures[0]), height, width)
        noise, original = pipe.prepare_latents(
            [values.unsqueeze(2)],
            len(generators),
            pipe.transformer.config.in_channels // 4,
            height,
            width,
            pipe.text_encoder.dtype,
            pipe._execution_device,
            generators,
        )
        keep = ~torch.from_numpy(touched_blocks(hole, _PATCH).reshape(1, -1, 1))
        first = _first_level(pipe.scheduler, levels, noise.shape[1])
        return {
            "latents": (1 - first) * original + first * noise,
            "callback_on_step_end": _keeper(keep.to(noise.device), original, noise),
        }

    @contextmanager
    def _conditioned(self) -> Iterator[None]:
        """Set the area at which the pipeline encodes pictures: a constant of its module.

        It is already that of the published model. Only tiny models need a smaller one.
        """
        own = _module.VAE_IMAGE_SIZE
        if self._area == own:
            yield
            return
        with _SIZES:
            _module.VAE_IMAGE_SIZE = self._area
            try:
                yield
            finally:
                _module.VAE_IMAGE_SIZE = own


def _first_level(scheduler: Any, levels: NDArray[np.float64], tokens: int) -> float:
    """Return the level of noise from which the pipeline begins: the first one, shifted as it shifts them."""
    config = scheduler.config
    shift = _module.calculate_shift(
        tokens,
        config.base_image_seq_len,
        config.max_image_seq_len,
        config.base_shift,
        config.max_shift,
    )
    own = type(scheduler).from_config(config)
    own.set_timesteps(sigmas=levels, mu=shift)
    return float(own.sigmas[0])


def _keeper(keep: torch.Tensor, original: torch.Tensor, noise: torch.Tensor) -> Callable[..., Any]:
    """Return a function for `callback_on_step_end` that restores latents, with the noise of the next step.

    keep: 1 x tokens x 1, True where the original stays. original, noise: pictures x tokens x
    channels.
    """

    def after_step(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        sigma = pipe.scheduler.sigmas[step + 1].to(noise)
        known = (1 - sigma) * original + sigma * noise
        latents = torch.where(keep, known, tensors["latents"])
        return diffusion.check_deadline(pipe, step, time, {"latents": latents})

    return after_step


class QwenEdit(EditingRole[QwenPipeline]):
    """Implements the role `models.roles.InstructionEditing`.

    Words are literal; their end is cut where they have more than 1,019 tokens.
    """

    kind = QwenPipeline

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
