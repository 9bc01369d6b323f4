"""Strict reading of weight files: only tensors, none missing, none unknown; every error names the file."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.backends.weight_files import check_file, first_line
from models.errors import BadWeightsError

_SHOWN = 3
_UNREADABLE = (
    SafetensorError,
    UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    KeyError,
    ValueError,
)
_jit: Any = torch.jit


def read_state(file: Path) -> dict[str, Any]:
    """Read the tensors of a `.safetensors` file or of a torch file, by name; raises BadWeightsError.

    They are loaded to main memory. From a torch file, only tensors and plain containers are loaded,
    never code.
    """
    check_file(file)
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        state = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error
    if not isinstance(state, Mapping):
        raise BadWeightsError(f"{file} holds no weights by name")
    return dict(state)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into `module`, cast to its dtype. file: their source, for messages.

    Raises BadWeightsError if a tensor is missing, unknown or of another shape.
    """
    expected = module.state_dict()
    problems = [f"{name} is missing" for name in expected.keys() - state.keys()]
    problems += [f"{name} is unknown" for name in state.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    raise_for_problems(problems, file)
    module.load_state_dict(dict(state), strict=True)


def raise_for_problems(problems: list[str], file: Path) -> None:
    """Raise BadWeightsError that names the first few problems, if there are any."""
    if problems:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise BadWeightsError(f"{file} does not fit: {'; '.join(sorted(problems)[:_SHOWN])}{more}")


def read_torchscript(file: Path) -> torch.jit.ScriptModule:
    """Read a TorchScript archive to main memory; raises BadWeightsError."""
    check_file(file)
    try:
        with warnings.catch_warnings():
            # Torch has deprecated the format, but LaMa is only published in it.
            warnings.filterwarnings("ignore", "`torch.jit")
            script: torch.jit.ScriptModule = _jit.load(str(file), map_location="cpu")
    except _UNREADABLE as error:
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error
    return script
