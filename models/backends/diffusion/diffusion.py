"""Functions for every diffusers pipeline: strict loading, long literal prompts, the state of one call."""

import copy
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from compel import CompelForSD, CompelForSDXL
from compel.prompt_parser import Conjunction, FlattenedPrompt
from safetensors import SafetensorError, safe_open

from models.backends.torch.checkpoints import raise_for_problems
from models.backends.torch.pretrained import torch_dtype as torch_dtype
from models.backends.weight_files import check_file, first_line
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError

_MAX_TOKENS = 4096
"""Longer prompts are truncated. Ten thousand characters of English have about 2,500 tokens."""
_LIBRARIES = ("diffusers", "transformers")
_HALF = (torch.float16, torch.bfloat16)


def weight_files(folder: Path, dtype: torch.dtype) -> tuple[list[Path], str | None]:
    """Return the safetensors files of one component, after a check, and their variant.

    The variant is `fp16` if such files exist, and half precision is wanted or there are no others.
    It is None for plain files. Raises BadWeightsError.
    """
    files = sorted(folder.glob("*.safetensors"))
    half = [file for file in files if ".fp16." in file.name]
    plain = [file for file in files if ".fp16." not in file.name]
    chosen = half if half and (dtype in _HALF or not plain) else plain
    if not chosen:
        raise BadWeightsError(f"{folder}: contains no .safetensors file")
    for file in chosen:
        check_safetensors(file)
    return chosen, "fp16" if chosen is half else None


def check_safetensors(file: Path) -> None:
    """Open a file and read its header; raises BadWeightsError that names the file."""
    check_file(file)
    try:
        with safe_open(file, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error


def load_component(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one model of diffusers or transformers strictly from its folder.

    `from_pretrained` itself fills a missing tensor with random numbers and only logs it. Here a
    missing tensor, an unknown tensor and a wrong shape raise BadWeightsError. Nothing is
    downloaded, and no pickle file is opened.
    """
    check_file(folder / "config.json")
    files, variant = weight_files(folder, dtype)
    names = ", ".join(map(str, files))
    dtype_option = {"torch_dtype" if kind.__module__.startswith("diffusers") else "dtype": dtype}
    try:
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            **dtype_option,
        )
    except Exception as error:
        # Both libraries let errors of many classes through: OSError, ValueError, RuntimeError, KeyError.
        raise BadWeightsError(f"{names} cannot be read: {first_line(error)}") from error
    problems = [f"{key} is missing" for key in info["missing_keys"]]
    problems += [f"{key} is unknown" for key in info["unexpected_keys"]]
    problems += [f"{key[0]} has another shape" for key in info["mismatched_keys"]]
    raise_for_problems(problems, files[0] if len(files) == 1 else folder)
    return model.eval().requires_grad_(False)


def load_pipeline(kind: Any, folder: Path, device_config: DeviceConfig, **settings: Any) -> Any:
    """Load a diffusers pipeline from a folder in hub layout and move it to its device.

    kind: the pipeline's class. settings: for its constructor; a component among them is not loaded. The
    caller must hold
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
        for name, component in _components(
            {name: entry for name, entry in listed.items() if name not in settings}, index
        )
    }
    try:
        pipe = kind.from_pretrained(folder, local_files_only=True, **models, **settings)
    except Exception as error:
        raise BadWeightsError(f"{folder}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    if dtype != torch.float16:
        # The VAE overflows only in float16, which has a small range: no upcast is needed otherwise.
        pipe.vae.register_to_config(force_upcast=False)
    if device_config.device != "cpu":
        for model in (pipe.unet, pipe.vae):
            model.to(memory_format=torch.channels_last)
    if not offloads(device_config):
        pipe.to(device_config.device)
    return pipe


def _components(listed: Mapping[str, Any], index: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and class of each component with weights; raises BadWeightsError."""
    for name, entry in listed.items():
        if not isinstance(entry, list) or entry[0] is None:
            continue
        library, kind = entry
        if library not in _LIBRARIES:
            raise BadWeightsError(
                f"{index}: {name} is of {library}, not of diffusers or transformers"
            )
        component = getattr(importlib.import_module(library), kind, None)
        if component is None:
            raise BadWeightsError(f"{index}: {library} has no {kind}")
        if isinstance(component, type) and issubclass(component, torch.nn.Module):
            yield name, component


def offloads(device_config: DeviceConfig) -> bool:
    """Whether weights stay in main memory while they are not used.

    Never on the CPU: they are there anyway.
    """
    return device_config.offload and device_config.device != "cpu"


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
