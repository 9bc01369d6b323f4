"""Functions for every diffusers pipeline: strict loading, long literal prompts, the state of one call."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compel import CompelForSD, CompelForSDXL
from compel.prompt_parser import Conjunction, FlattenedPrompt
from numpy.typing import NDArray
from torch import nn

from imaging.picture import Rgb
from models.backends.diffusion.components import components_of
from models.backends.diffusion.components import load_component as load_component
from models.backends.torch.pretrained import torch_dtype as torch_dtype
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError

_MAX_TOKENS = 4096
"""Longer prompts are truncated. Ten thousand characters of English have about 2,500 tokens."""


def load_pipeline(kind: Any, folder: Path, device_config: DeviceConfig, **settings: Any) -> Any:
    """Load a diffusers pipeline from a folder in hub layout and move it to its device.

    kind: the pipeline's class, with a UNet or a transformer. settings: for its constructor; a
    component among them is not loaded. The caller must hold
    `models.backends.torch.loading.LOADING`. Components may only be classes of diffusers and
    transformers: no code of the folder runs. Raises BadWeightsError.

    Not tested on a GPU: half precision, channels_last and offload.
    """
    index = folder / "model_index.json"
    try:
        listed: Mapping[str, Any] = json.loads(index.read_text())
    except (OSError, ValueError) as error:
        raise BadWeightsError(f"{index}: {error}") from error
    dtype = torch_dtype(device_config)
    models = {
        name: load_component(component, folder / name, dtype)
        for name, component in components_of(
            {name: entry for name, entry in listed.items() if name not in settings}, index
        )
    }
    try:
        pipe = kind.from_pretrained(folder, local_files_only=True, **models, **settings)
    except Exception as error:
        raise BadWeightsError(f"{folder}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    if dtype != torch.float16 and "force_upcast" in pipe.vae.config:
        # The VAE overflows only in float16, which has a small range: no upcast is needed otherwise.
        pipe.vae.register_to_config(force_upcast=False)
    if device_config.device != "cpu":
        for name in ("unet", "vae"):
            _to_channels_last(getattr(pipe, name, None))
    if not offloads(device_config):
        pipe.to(device_config.device)
    return pipe


def _to_channels_last(model: Any) -> None:
    """Store a convolutional network's weights in the order that a GPU prefers, if it can be done.

    None and networks with convolutions in three dimensions, such as the VAEs of videos, stay as they
    are.
    """
    if model is not None and all(weight.dim() <= 4 for weight in model.parameters()):
        model.to(memory_format=torch.channels_last)


def offloads(device_config: DeviceConfig) -> bool:
    """Whether weights stay in main memory while they are not used.

    Never on the CPU: they are there anyway.
    """
    return device_config.offload and device_config.device != "cpu"


def networks_of(device_config: DeviceConfig, *pipes: Any) -> list[nn.Module]:
    """Return the modules of pipelines that may move between calls; none with offload, which moves them itself."""
    if offloads(device_config):
        return []
    return [
        part for pipe in pipes for part in pipe.components.values() if isinstance(part, nn.Module)
    ]


def for_one_call(pipe: Any, device_config: DeviceConfig, scheduler: Any) -> Any:
    """Return a shallow copy of a pipeline with its own noise scheduler. The weights are shared.

    A scheduler counts steps: two calls with the same one would damage each other's pictures.
    """
    own = copy.copy(pipe)
    own.scheduler = scheduler
    if offloads(device_config):
        own.enable_model_cpu_offload(device=device_config.device)
    return own


def view(model: torch.nn.Module) -> Any:
    """Return a copy of a model that shares its weights.

    An adapter of the copy does not change the original.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


@contextmanager
def without_overflow(vae: Any) -> Iterator[Any]:
    """Yield a VAE, in float32 if it would overflow in float16. No other call may use it at the same time."""
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(torch.float32)
    try:
        yield vae
    finally:
        if upcast:
            vae.to(torch.float16)


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return one random generator for each seed, on the CPU, so that every device gets the same noise."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def steps_for(strength: float, steps: int) -> int:
    """Return the least number of steps, at least `steps`, with int(steps x strength) of 1 or more.

    Image-to-image pipelines run that many steps, and raise an error if it is 0. Raises ValueError
    if strength is not in 0..1, without 0.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength {strength} is not above 0 and at most 1")
    while int(steps * strength) < 1:
        steps += 1
    return steps


@contextmanager
def generating(device_config: DeviceConfig) -> Iterator[None]:
    """Set the current thread up for one generation. The scheduler runs only one at a time."""
    if device_config.device == "cpu":
        # OpenMP stores it per thread. Another number of threads would sum in another order.
        torch.set_num_threads(device_config.threads)
    with torch.no_grad():
        yield


def check_deadline(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """Raise WorkCancelledError if nobody waits any more.

    It is the `callback_on_step_end` of a pipeline. The pipeline's own `_interrupt` would still
    return a picture, of noise.
    """
    checkpoint()
    return tensors


def to_rgb(pictures: NDArray[np.float32], device_config: DeviceConfig) -> list[Rgb]:
    """Return the pictures of a pipeline's result; raises FloatingPointError if it contains NaN.

    pictures: n x height x width x 3, 0..1.
    """
    if not np.isfinite(pictures).all():
        raise FloatingPointError(f"the result of the model is not finite in {device_config.dtype}")
    return [np.ascontiguousarray(one) for one in (pictures * 255).round().astype(np.uint8)]


def encode_prompts(
    pipe: Any, device_config: DeviceConfig, prompt: str, negative: str | None, count: int
) -> dict[str, torch.Tensor]:
    """Return the embeddings of a prompt for `count` pictures, as arguments for the pipeline's call.

    A prompt of more than CLIP's 77 tokens is encoded in parts and joined by compel, up to 4,096
    tokens; the rest is ignored. Text is literal: compel's own syntax, such as `(word)++`, is off,
    so that brackets in a caller's text cannot change or break the prompt. negative: None without
    guidance. An empty one becomes zeros if the model was trained that way
    (`force_zeros_for_empty_prompt`).
    """
    encode = _prompt_encoder(pipe, device_config.device)
    unguided = negative is None
    encoded = encode(
        _truncated(pipe, prompt),
        negative_prompt=None if unguided else _truncated(pipe, negative or ""),
    )
    embeddings = {"prompt_embeds": encoded.embeds, "pooled_prompt_embeds": encoded.pooled_embeds}
    if not unguided:
        zeros = not negative and pipe.config.get("force_zeros_for_empty_prompt", False)
        for name, tensor in (
            ("negative_prompt_embeds", encoded.negative_embeds),
            ("negative_pooled_prompt_embeds", encoded.negative_pooled_embeds),
        ):
            embeddings[name] = torch.zeros_like(tensor) if zeros and tensor is not None else tensor
    return {
        name: tensor.repeat(count, *(1,) * (tensor.dim() - 1))
        for name, tensor in embeddings.items()
        if tensor is not None
    }


def _prompt_encoder(pipe: Any, device: str) -> Any:
    """Return compel for a pipeline with SDXL's two text encoders, or with one, without its syntax."""
    encode: Any
    if hasattr(pipe, "text_encoder_2"):
        encode = CompelForSDXL(pipe, device=device)
        encoders = [encode.compel_1, encode.compel_2]
    else:
        encode = CompelForSD(pipe, device=device)
        encoders = [encode.compel]
    for encoder in encoders:
        encoder.parse_prompt_string = _literal
    return encode


def _literal(text: str) -> Any:
    return Conjunction([FlattenedPrompt([(text, 1.0)])])


def _truncated(pipe: Any, text: str) -> str:
    count = len(pipe.tokenizer(text, verbose=False)["input_ids"])
    return text if count <= _MAX_TOKENS else text[: len(text) * _MAX_TOKENS // count]
