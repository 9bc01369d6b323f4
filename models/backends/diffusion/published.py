"""Strict loading of a component whose weights are a pickle of tensors, or have a file name of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights

from models.backends.diffusion.components import load_component
from models.backends.torch.checkpoints import raise_for_problems, read_state
from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

_USUAL = ("diffusion_pytorch_model", "model", "pytorch_model")
"""The libraries' own names of weight files, with an ending that says how they are stored."""


def load_published(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one model of diffusers or transformers strictly from a folder with `config.json`.

    It takes safetensors files under the libraries' names as `load_component` does. Else it takes the
    one file under such a name that ends in `.bin`: BRIA's ControlNets and adapters are published as
    these pickles, of which only tensors are read, never code. Else the one safetensors file under
    another name. A missing tensor, an unknown tensor and a wrong shape raise BadWeightsError.
    """
    usual = [file for name in _USUAL for file in sorted(folder.glob(f"{name}*.safetensors"))]
    if usual:
        return load_component(kind, folder, dtype)
    pickles = [folder / f"{name}.bin" for name in _USUAL if (folder / f"{name}.bin").exists()]
    files = pickles or sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise BadWeightsError(
            f"{folder}: contains no {_USUAL[0]}.safetensors, no {_USUAL[0]}.bin, and"
            f" {len(files)} other weight files instead of one"
        )
    check_file(folder / "config.json")
    read = _diffusers_model if kind.__module__.startswith("diffusers") else _transformers_model
    model = read(kind, folder, files[0], dtype)
    return model.eval().requires_grad_(False)


def _diffusers_model(kind: Any, folder: Path, file: Path, dtype: torch.dtype) -> Any:
    state = read_state(file)
    try:
        with init_empty_weights():
            model = kind.from_config(kind.load_config(folder))
    except Exception as error:
        raise BadWeightsError(f"{folder / 'config.json'}: {first_line(error)}") from error
    _compare(model.state_dict(), state, file)
    model.load_state_dict({name: one.to(dtype) for name, one in state.items()}, assign=True)
    return model


def _transformers_model(kind: Any, folder: Path, file: Path, dtype: torch.dtype) -> Any:
    state = read_state(file)
    try:
        model, info = kind.from_pretrained(
            None,
            config=kind.config_class.from_pretrained(folder, local_files_only=True),
            state_dict=state,
            dtype=dtype,
            output_loading_info=True,
        )
    except Exception as error:
        raise BadWeightsError(f"{file} does not fit: {first_line(error)}") from error
    problems = [f"{key} is missing" for key in info["missing_keys"]]
    problems += [f"{key} is unknown" for key in info["unexpected_keys"]]
    problems += [f"{key[0]} has another shape" for key in info["mismatched_keys"]]
    raise_for_problems(problems, file)
    return model


def _compare(wanted: Mapping[str, torch.Tensor], found: Mapping[str, Any], file: Path) -> None:
    """Raise BadWeightsError unless both have tensors of the same names and shapes."""
    problems = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} is unknown" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        if not isinstance(found[name], torch.Tensor) or found[name].shape != wanted[name].shape:
            problems.append(f"{name} has another shape")
    raise_for_problems(problems, file)
