"""What every diffusers pipeline shares: strict loading from a folder, literal long prompts, one call at a time."""

import copy
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from compel import CompelForSDXL
from compel.prompt_parser import Conjunction, FlattenedPrompt
from safetensors import SafetensorError, safe_open

from models.backends.torch.checkpoints import check_file, first_line, refuse
from models.backends.torch.pretrained import torch_dtype as torch_dtype
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError

_MOST_TOKENS = 4096
"""Longest prompt that is read to its end: ten thousand characters of English have some 2,500 tokens."""
_LIBRARIES = ("diffusers", "transformers")
_HALF = (torch.float16, torch.bfloat16)


def weight_files(folder: Path, dtype: torch.dtype) -> tuple[list[Path], str | None]:
    """Return the safetensors files of one component, opened once each, and their variant.

    The variant is `fp16` where half precision is wanted and such files are there, or where nothing
    else is; None for the plain files. Raises BadWeightsError.
    """
    files = sorted(folder.glob("*.safetensors"))
    half = [file for file in files if ".fp16." in file.name]
    plain = [file for file in files if ".fp16." not in file.name]
    chosen = half if half and (dtype in _HALF or not plain) else plain
    if not chosen:
        raise BadWeightsError(f"{folder}: no .safetensors file in it")
    for file in chosen:
        check_safetensors(file)
    return chosen, "fp16" if chosen is half else None


def check_safetensors(file: Path) -> None:
    """Open a file and read its table of contents; raises BadWeightsError that names it."""
    check_file(file)
    try:
        with safe_open(file, framework="pt") as opened:
            opened.keys()
    except (SafetensorError, OSError) as error:
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error


def load_component(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one model of diffusers or transformers from its folder, every weight of it from the files.

    `from_pretrained` fills a missing key with random numbers and merely logs it: here that, a key too
    many and a wrong shape are BadWeightsError. Nothing is fetched and no pickle is opened.
    """
    check_file(folder / "config.json")
    files, variant = weight_files(folder, dtype)
    named = ", ".join(map(str, files))
    in_half = {"torch_dtype" if kind.__module__.startswith("diffusers") else "dtype": dtype}
    try:
        model, info = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            **in_half,
        )
    except Exception as error:
        # Either library raises what its helpers raise: OSError, ValueError, RuntimeError, KeyError.
        raise BadWeightsError(f"{named} cannot be read: {first_line(error)}") from error
    faults = [f"{key} is missing" for key in info["missing_keys"]]
    faults += [f"{key} is unknown" for key in info["unexpected_keys"]]
    faults += [f"{key[0]} is of another shape" for key in info["mismatched_keys"]]
    refuse(faults, files[0] if len(files) == 1 else folder)
    return model.eval().requires_grad_(False)


def load_pipeline(kind: Any, folder: Path, device_config: DeviceConfig, **settings: Any) -> Any:
    """Load a diffusers pipeline from a folder in hub layout and put it where it is to run.

    kind: the pipeline's class. settings: for its constructor. To be called under
    `models.backends.torch.loading.LOADING`. Components come from diffusers and transformers only: no
    code of the folder is run. Raises BadWeightsError.

    Not run on a GPU so far: half precision, channels_last and offload.
    """
    index = folder / "model_index.json"
    try:
        listed: Mapping[str, Any] = json.loads(index.read_text())
    except (OSError, ValueError) as error:
        raise BadWeightsError(f"{index}: {error}") from error
    dtype = torch_dtype(device_config)
    models = {
        name: load_component(component, folder / name, dtype)
        for name, component in _components(listed, index)
    }
    try:
        pipe = kind.from_pretrained(folder, local_files_only=True, **models, **settings)
    except Exception as error:
        raise BadWeightsError(f"{folder}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    if dtype != torch.float16:
        # The VAE overflows in float16 alone, whose range is small; elsewhere it need not be moved.
        pipe.vae.register_to_config(force_upcast=False)
    if device_config.device != "cpu":
        for model in (pipe.unet, pipe.vae):
            model.to(memory_format=torch.channels_last)
    if not offloads(device_config):
        pipe.to(device_config.device)
    return pipe


def _components(listed: Mapping[str, Any], index: Path) -> Iterator[tuple[str, Any]]:
    """Return name and class of each component with weights."""
    for name, entry in listed.items():
        if not isinstance(entry, list) or entry[0] is None:
            continue
        library, kind = entry
        if library not in _LIBRARIES:
            raise BadWeightsError(
                f"{index}: {name} is of {library}, not of diffusers or transformers"
            )
        found = getattr(importlib.import_module(library), kind, None)
        if found is None:
            raise BadWeightsError(f"{index}: {library} has no {kind}")
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            yield name, found


def offloads(device_config: DeviceConfig) -> bool:
    """Whether weights rest in main memory between their turns; on the CPU they are there anyway."""
    return device_config.offload and device_config.device != "cpu"


def for_one_call(pipe: Any, device_config: DeviceConfig, scheduler: Any) -> Any:
    """Return a shallow copy of a pipeline with a scheduler of its own, the weights shared.

    A scheduler counts its steps: two calls on one corrupt each other's pictures.
    """
    own = copy.copy(pipe)
    own.scheduler = scheduler
    if offloads(device_config):
        own.enable_model_cpu_offload(device=device_config.device)
    return own


def view(model: torch.nn.Module) -> Any:
    """Copy a model's modules but share its weights, so that adapters put on one are not on the other."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Return one generator for each seed, on the CPU: the same noise on whatever device."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def steps_for(strength: float, steps: int) -> int:
    """Return the least number of steps, `steps` or more, of which the strength leaves at least one.

    Image-to-image runs int(steps x strength) steps and raises where that is none.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength {strength} is not within 0..1, 0 excluded")
    while int(steps * strength) < 1:
        steps += 1
    return steps


@contextmanager
def generating(device_config: DeviceConfig) -> Iterator[None]:
    """Hold for one generation what it needs of its thread; one runs at a time, as the scheduler sees to."""
    if device_config.device == "cpu":
        # OpenMP keeps it per thread, and another number of threads sums in another order.
        torch.set_num_threads(device_config.threads)
    with torch.no_grad():
        yield


def stop_if_abandoned(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """Be the `callback_on_step_end` of a pipeline: raise WorkCancelledError where nobody waits any more.

    The pipeline's own `_interrupt` would still give a picture, of noise.
    """
    checkpoint()
    return tensors


def encode_prompts(
    pipe: Any, device_config: DeviceConfig, prompt: str, negative: str | None, count: int
) -> dict[str, torch.Tensor]:
    """Return the embeddings of an SDXL prompt for `count` pictures, as arguments of its pipelines.

    Prompts longer than CLIP's 77 tokens are encoded in parts and joined (compel), up to 4,096 tokens;
    what follows is left out. Text is literal: compel's own syntax, as `(word)++`, is not read, so
    that no stranger's bracket changes or breaks a prompt. negative: None without guidance; the
    empty one is zeros where the model was trained so (`force_zeros_for_empty_prompt`).
    """
    encode = CompelForSDXL(pipe, device=device_config.device)
    for encoder in (encode.compel_1, encode.compel_2):
        encoder.parse_prompt_string = _literal
    unguided = negative is None
    given = encode(
        _readable(pipe, prompt),
        negative_prompt=None if unguided else _readable(pipe, negative or ""),
    )
    embeddings = {"prompt_embeds": given.embeds, "pooled_prompt_embeds": given.pooled_embeds}
    if not unguided:
        zeros = not negative and pipe.config.force_zeros_for_empty_prompt
        for name, tensor in (
            ("negative_prompt_embeds", given.negative_embeds),
            ("negative_pooled_prompt_embeds", given.negative_pooled_embeds),
        ):
            embeddings[name] = torch.zeros_like(tensor) if zeros else tensor
    return {
        name: tensor.repeat(count, *(1,) * (tensor.dim() - 1))
        for name, tensor in embeddings.items()
    }


def _literal(text: str) -> Any:
    return Conjunction([FlattenedPrompt([(text, 1.0)])])


def _readable(pipe: Any, text: str) -> str:
    count = len(pipe.tokenizer(text, verbose=False)["input_ids"])
    return text if count <= _MOST_TOKENS else text[: len(text) * _MOST_TOKENS // count]
