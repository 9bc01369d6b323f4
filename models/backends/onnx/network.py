"""ONNX files on the processor: fed by name, checked when they are loaded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.errors import BadWeightsError

Array = NDArray[Any]
Shape = Sequence[int | None]
"""A tensor's shape; None: any number."""

_ERRORS_ONLY = 3
"""onnxruntime's log level for errors: it warns about each constant that an export left unused."""
_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Input:
    """An input of a network: its dtype, and its shape with None for a free side."""

    dtype: type[np.generic]
    shape: tuple[int | None, ...]


class Network:
    """A loaded ONNX file. inputs: by name. outputs: names in the file's order.

    Several threads may call a network; each call has its own working memory.
    """

    def __init__(
        self,
        file: Path,
        threads: int,
        needs: Collection[str] = (),
        *,
        content: bytes | None = None,
        keeps_memory: bool = True,
    ) -> None:
        """Load `file`. threads: CPU threads of one call. needs: names that its inputs must include.

        content: the network, if it was made from `file`. keeps_memory: whether onnxruntime keeps the
        working memory of a call for the next one. Without it a call is a fifth slower, and of the
        490 MB of a fill by MI-GAN 140 stay (measured); without any arena it takes three times as
        long. Raises BadWeightsError that names the file.
        """
        self.file = file
        try:
            self._session = ort.InferenceSession(
                content or str(file), session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base class
            raise BadWeightsError(f"{file} cannot be loaded: {error}") from error
        self.inputs = {entry.name: _input(file, entry) for entry in self._session.get_inputs()}
        self.outputs: tuple[str, ...] = tuple(entry.name for entry in self._session.get_outputs())
        if missing := sorted(set(needs) - set(self.inputs)):
            raise BadWeightsError(f"{file} has no input {', '.join(missing)}")
        self._run_options = ort.RunOptions()
        if not keeps_memory:
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output by name. Inputs that the file does not have are left out."""
        fed = {
            name: np.ascontiguousarray(inputs[name], entry.dtype)
            for name, entry in self.inputs.items()
        }
        found = self._session.run(None, fed, self._run_options)
        return dict(zip(self.outputs, map(np.asarray, found), strict=True))


class FixedNetwork(Network):
    """A network with exactly the given inputs, of which the first output is used."""

    def __init__(
        self,
        file: Path,
        signature: Mapping[str, tuple[type[np.generic], Shape]],
        threads: int,
        *,
        content: bytes | None = None,
        keeps_memory: bool = False,
    ) -> None:
        """Load `file`. signature: the dtype and the shape of every input; the rest is `Network`'s.

        Raises BadWeightsError that names the file.
        """
        super().__init__(file, threads, content=content, keeps_memory=keeps_memory)
        if self.inputs.keys() != signature.keys() or not all(
            self.inputs[name].dtype == dtype and _fits(self.inputs[name].shape, shape)
            for name, (dtype, shape) in signature.items()
        ):
            taken = ", ".join(_described(n, e.dtype, e.shape) for n, e in self.inputs.items())
            wanted = ", ".join(_described(n, *entry) for n, entry in signature.items())
            raise BadWeightsError(f"{file} takes {taken}, not {wanted}")

    def output(self, inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
        """Return the first output; raises BadWeightsError if it has another shape than `shape`."""
        output = self.run(inputs)[self.outputs[0]]
        if output.shape != shape:
            raise BadWeightsError(f"{self.file} returns the shape {output.shape}, not {shape}")
        return output


def session_options(threads: int) -> ort.SessionOptions:
    """Return onnxruntime's options for a network on the processor. threads: of one call."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern keeps the memory of the largest call and is no faster.
    options.enable_mem_pattern = False
    options.log_severity_level = _ERRORS_ONLY
    return options


def _input(file: Path, entry: Any) -> Input:
    if entry.type not in _DTYPES:
        raise BadWeightsError(f"{file}: its input {entry.name} is a {entry.type}")
    shape = tuple(side if isinstance(side, int) else None for side in entry.shape)
    return Input(_DTYPES[entry.type], shape)


def _fits(given: Shape, wanted: Shape) -> bool:
    """Whether two shapes can be the same. A free side takes any number."""
    return len(given) == len(wanted) and all(
        a == b or a is None or b is None for a, b in zip(given, wanted, strict=True)
    )


def _described(name: str, dtype: type[np.generic], shape: Shape) -> str:
    return f"{name} {dtype.__name__} {list(shape)}"
