"""Reading weight files: tensors only, every tensor wanted and no other, each fault naming its file."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.errors import BadWeightsError

_POINTER = b"version https://git-lfs"
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


def check_file(file: Path) -> None:
    """Raise BadWeightsError when `file` is missing, empty or a Git LFS pointer instead of its content."""
    if not file.is_file():
        raise BadWeightsError(f"{file} is missing")
    with file.open("rb") as stream:
        start = stream.read(len(_POINTER))
    if not start:
        raise BadWeightsError(f"{file} is empty")
    if start == _POINTER:
        raise BadWeightsError(
            f"{file} is a Git LFS pointer, not the weights: fetch them with git lfs"
        )


def read_state(file: Path) -> dict[str, Any]:
    """Read a `.safetensors` file, or one that torch saved, to main memory; raises BadWeightsError.

    Of what torch saved only tensors and plain containers are read, never code.
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
    """Give `module` its weights, cast to its own dtype; `file` is where they came from.

    Raises BadWeightsError when a tensor is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    faults = [f"{name} is missing" for name in wanted.keys() - state.keys()]
    faults += [f"{name} is unknown" for name in state.keys() - wanted.keys()]
    faults += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted.keys() & state.keys()
        if state[name].shape != wanted[name].shape
    ]
    refuse(faults, file)
    module.load_state_dict(dict(state), strict=True)


def refuse(faults: list[str], file: Path) -> None:
    """Raise BadWeightsError when there are faults, showing the first few."""
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise BadWeightsError(f"{file} does not fit: {'; '.join(sorted(faults)[:_SHOWN])}{more}")


def read_torchscript(file: Path) -> torch.jit.ScriptModule:
    """Read a TorchScript archive to main memory; raises BadWeightsError."""
    check_file(file)
    try:
        with warnings.catch_warnings():
            # Torch deprecates the format; LaMa has been published in no other.
            warnings.filterwarnings("ignore", "`torch.jit")
            script: torch.jit.ScriptModule = _jit.load(str(file), map_location="cpu")
    except _UNREADABLE as error:
        raise BadWeightsError(f"{file} cannot be read: {first_line(error)}") from error
    return script


def first_line(error: Exception) -> str:
    """Return what an error says first, or its name when it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
