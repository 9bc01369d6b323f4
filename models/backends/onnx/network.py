"""An ONNX network on the CPU that gives its working memory back after each call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.errors import BadWeightsError

_ERRORS_ONLY = 3
"""onnxruntime's log level for errors."""
Array = NDArray[Any]
Shape = Sequence[int | None]
"""A tensor's shape; None: any number."""


class Network:
    """A network with named inputs, of which the first output is used.

    onnxruntime collects working memory in an arena, which is shrunk after every call. The call is a
    fifth slower, and of the memory of a fill by MI-GAN 140 of 490 MB stay (measured). Without an
    arena a call takes three times as long. Several threads may call a network; each call has its
    own working memory.
    """

    def __init__(
        self,
        file: Path,
        inputs: Mapping[str, tuple[str, Shape]],
        threads: int,
        *,
        content: bytes | None = None,
        keeps_memory: bool = False,
    ) -> None:
        """Load `file`. inputs: name, onnxruntime's type and shape of every input it must have.

        threads: CPU threads of one call. content: the network, if it was made from `file`.
        keeps_memory: whether the working memory stays, for many small calls. Raises BadWeightsError
        that names the file.
        """
        self.file = file
        try:
            self._session = ort.InferenceSession(
                content or str(file), _options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base class
            raise BadWeightsError(f"{file} cannot be loaded: {error}") from error
        found = {entry.name: entry for entry in self._session.get_inputs()}
        if found.keys() != inputs.keys() or not all(
            found[name].type == kind and _fits(found[name].shape, shape)
            for name, (kind, shape) in inputs.items()
        ):
            taken = ", ".join(f"{e.name} {e.type} {e.shape}" for e in found.values())
            wanted = ", ".join(f"{n} {kind} {list(shape)}" for n, (kind, shape) in inputs.items())
            raise BadWeightsError(f"{file} takes {taken}, not {wanted}")
        self._output = self._session.get_outputs()[0].name
        self._run_options = ort.RunOptions()
        if not keeps_memory:
            self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, inputs: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
        """Return the first output; raises BadWeightsError if it has another shape than `shape`."""
        (output,) = self._session.run([self._output], inputs, self._run_options)
        if output.shape != shape:
            raise BadWeightsError(f"{self.file} returns the shape {output.shape}, not {shape}")
        return np.asarray(output)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    options.log_severity_level = _ERRORS_ONLY
    return options


def _fits(given: Sequence[int | str | None], wanted: Shape) -> bool:
    """Whether two shapes can be the same. A side that is not a number takes any number."""
    return len(given) == len(wanted) and all(
        a == b or not isinstance(a, int) or b is None for a, b in zip(given, wanted, strict=True)
    )
