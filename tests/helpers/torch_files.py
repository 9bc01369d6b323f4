"""Torch weight files written without torch: a zip archive with a pickle and the bytes of each storage."""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def save(file: Path, content: Any) -> Path:
    """Write `content`, plain containers with arrays for tensors, as `torch.save` does; return `file`."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    def rebuild(*_: Any) -> None:
        """Stand for torch's function: only its name is written."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    stream, storages = io.BytesIO(), dict[str, bytes]()
    with patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        _pickler(stream, storages, torch, rebuild).dump(content)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", stream.getvalue())
        for key, values in storages.items():
            archive.writestr(f"net/data/{key}", values)
    return file


def _pickler(
    stream: io.BytesIO, storages: dict[str, bytes], torch: ModuleType, rebuild: Any
) -> pickle.Pickler:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, _Storage):
                return None
            key = str(len(storages))
            storages[key] = value.values.tobytes()
            kind = getattr(torch, STORAGES[value.values.dtype.name])
            return ("storage", kind, key, "cpu", value.values.size)

        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return NotImplemented
            flat = np.ascontiguousarray(value)
            strides = tuple(step // flat.itemsize for step in flat.strides)
            return rebuild, (_Storage(flat), 0, flat.shape, strides, False, OrderedDict())

    return Pickler(stream, protocol=2)


class _Storage:
    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values


def compact_weights(
    features: int = 8, convolutions: int = 2, seed: int = 0, scale: float = 0.1
) -> Mapping[str, NDArray[np.float32]]:
    """Return random weights of Real-ESRGAN's compact network, by the names of its torch files.

    features: channels inside. convolutions: in the middle. scale: of the values.
    """
    rng = np.random.default_rng(seed)
    sides = [3, *[features] * (convolutions + 1), 48]
    state = dict[str, NDArray[np.float32]]()
    for number in range(convolutions + 2):
        taken, made = sides[number], sides[number + 1]
        name = f"body.{2 * number}"
        state[f"{name}.weight"] = rng.normal(0, scale, (made, taken, 3, 3)).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0, scale, made).astype(np.float32)
        if number <= convolutions:
            slopes = rng.uniform(0, 0.3, made).astype(np.float32)
            state[f"body.{2 * number + 1}.weight"] = slopes
    return state
