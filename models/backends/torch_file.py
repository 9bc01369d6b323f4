"""Reading of torch's weight files without torch: tensors as NumPy arrays, and never code.

A file saved by `torch.save` is a zip archive with one pickle, `data.pkl`, and one file for the bytes
of each storage (torch/serialization.py). The pickle refers to four functions and classes for
tensors. Every other reference is refused, so a crafted file cannot run anything.
"""

import io
import math
import pickle
import pickletools
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models.errors import BadWeightsError

_DTYPES = {"FloatStorage": np.dtype("<f4"), "HalfStorage": np.dtype("<f2")}
_MAX_BYTES = 1 << 28
"""Bytes. Larger files are refused: the readers here are for small networks."""
Tensor = NDArray[np.float32]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a torch file by name, float32.

    Real-ESRGAN's files have them under the key `params` or `params_ema`; the first of the two that
    exists is read, else the file itself must be a mapping of names to tensors. Raises
    BadWeightsError that names the file.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            content = _read(archive)
    except _UNREADABLE as error:
        raise BadWeightsError(f"{file} cannot be read: {error or type(error).__name__}") from error
    for key in ("params", "params_ema"):
        if isinstance(content, Mapping) and key in content:
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, np.ndarray) for name, tensor in content.items()
    ):
        raise BadWeightsError(f"{file} holds no tensors by name")
    return {name: np.asarray(tensor, np.float32) for name, tensor in content.items()}


_UNREADABLE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,  # zipfile: an encrypted member, an unknown compression
    zlib.error,
    MemoryError,
    OverflowError,
)


def _read(archive: zipfile.ZipFile) -> Any:
    if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES >> 20} MiB")
    (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = name.removesuffix("data.pkl")
    # One storage may be behind many references: without the cache each would be read again.
    storage = cache(lambda key: archive.read(f"{folder}data/{key}"))
    pickled = archive.read(name)
    _check_memo(pickled)
    return _Unpickler(io.BytesIO(pickled), storage).load()


def _check_memo(pickled: bytes) -> None:
    """Raise UnpicklingError for a memo index beyond the pickle's own length.

    The reader allocates its memo up to the highest index: eight bytes could make it take gigabytes.
    """
    for operation, argument, _ in pickletools.genops(pickled):
        if "PUT" in operation.name and isinstance(argument, int) and argument > len(pickled):
            raise pickle.UnpicklingError(f"its memo has an index of {argument}")


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors and plain containers. storage: returns the bytes of a storage by its key."""

    def __init__(self, stream: Any, storage: Callable[[str], bytes]) -> None:
        super().__init__(stream)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Return what a reference stands for; raises UnpicklingError for all that is no tensor."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """Return a storage as a flat array; pid: ("storage", dtype, key, device, count)."""
        kind, dtype, key, _, _ = cast("tuple[str, np.dtype[Any], str, str, int]", pid)
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}, which is no tensor")
        return np.frombuffer(self._storage(key), dtype)


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
) -> NDArray[Any]:
    """Return a tensor of a storage; offset, stride: in elements. Raises ValueError beyond its end."""
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if min(offset, *size, *stride, 0) < 0 or max(last + 1, count) > storage.size:
        raise ValueError("a tensor extends beyond its storage")
    item = storage.itemsize
    view = np.lib.stride_tricks.as_strided(
        storage[offset:], tuple(size), tuple(step * item for step in stride), writeable=False
    )
    return np.ascontiguousarray(view)
