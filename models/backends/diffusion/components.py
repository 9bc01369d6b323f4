"""Strict loading of one component of a diffusers repository: every tensor must be there, and no other."""

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from models.backends.torch.checkpoints import raise_for_problems
from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

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
    names = {file.name: check_safetensors(file) for file in chosen}
    for index in folder.glob("*.safetensors.index.json"):
        if (".fp16." in index.name) == (chosen is half):
            _check_shards(index, names)
    return chosen, "fp16" if chosen is half else None


def _check_shards(index: Path, names: Mapping[str, set[str]]) -> None:
    """Raise BadWeightsError unless the shards hold exactly the tensors that their index names.

    names: of the tensors, by the name of their file. The libraries read only the files of the index.
    """
    try:
        listed: Mapping[str, str] = json.loads(index.read_text())["weight_map"]
        wanted = {(file, tensor) for tensor, file in listed.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadWeightsError(f"{index} cannot be read: {first_line(error)}") from error
    found = {(file, tensor) for file, tensors in names.items() for tensor in tensors}
    problems = [f"{tensor} is missing in {file}" for file, tensor in wanted - found]
    problems += [f"{tensor} in {file} is unknown" for file, tensor in found - wanted]
    raise_for_problems(problems, index)


def check_safetensors(file: Path) -> set[str]:
    """Return the names of a file's tensors, from its header; raises BadWeightsError that names the file."""
    check_file(file)
    try:
        with safe_open(file, framework="pt") as opened:
            return set(opened.keys())
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


def components_of(listed: Mapping[str, Any], index: Path) -> Iterator[tuple[str, Any]]:
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
