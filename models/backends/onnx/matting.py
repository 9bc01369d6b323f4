"""Matting with BiRefNet, RMBG-2.0 and similar networks as ONNX files, without torch or code from a repository.

Not tested with the published files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort

from imaging.picture import Matte, Rgb
from models.backends.matting_input import (
    Float,
    MattingInput,
    Triple,
    opaque_deep_inside,
    to_full_size,
)
from models.backends.weight_files import only_file
from models.device import DeviceConfig

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxMatting:
    """Implements the role `models.roles.Matting`.

    It runs on CUDA if the device configuration says so. A missing provider is an error: it does not
    fall back to the CPU. A call at 1024 x 1024 needs gigabytes of working memory, so its cards are
    exclusive.
    """

    def __init__(
        self,
        file: Path,
        device_config: DeviceConfig | None = None,
        *,
        logits: bool = True,
        input_format: MattingInput | None = None,
        output: str | None = None,
        solid: bool = False,
    ) -> None:
        """Load `file`: a network with one input 1 x 3 x S x S and a matte 1 x 1 x S x S as output.

        logits: whether the network returns the matte before the sigmoid, as BiRefNet's exports do;
        those of RMBG-2.0 return it after. input_format: a side that is fixed in the file overrides
        it. output: name of the matte among several outputs; None: the first. solid: whether the
        network finds objects and no transparency, so that the interior of the subject is made
        opaque. The dtype is that of the file. Raises ValueError that names the file.
        """
        device_config = device_config or DeviceConfig()
        try:
            self._session = _session(file, device_config)
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base class
            raise ValueError(f"{file} cannot be loaded: {error}") from error
        entry = _picture_input(file, self._session)
        self._dtype = _DTYPES[entry.type]
        self._name = entry.name
        default = input_format or MattingInput()
        side = next((side for side in entry.shape[2:] if isinstance(side, int)), default.side)
        self._input = MattingInput(side, default.mean, default.std)
        self._output = _output_name(file, self._session, output)
        self._run_options = ort.RunOptions()
        # The working memory of a call, gigabytes, goes back after it.
        self._run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._logits = logits
        self._solid = solid
        self._file = file

    @classmethod
    def load(
        cls,
        paths: Sequence[Path],
        device_config: DeviceConfig,
        logits: bool = True,
        side: int | None = None,
        mean: Triple = MattingInput.mean,
        std: Triple = MattingInput.std,
        output: str | None = None,
        solid: bool = False,
    ) -> Self:
        """Load the model of a card.

        paths: one ONNX file, or its folder. side, mean, std: of the input (`MattingInput`); without
        a side, that of the file, else the default. logits, output, solid: as in the constructor. Raises
        ValueError that names the file, also if the file has another side.
        """
        inner = paths[0] / "onnx"  # the subfolder in repositories in hub layout
        file = only_file(inner if inner.is_dir() else paths[0])
        given = MattingInput(side or MattingInput.side, mean, std)
        model = cls(
            file, device_config, logits=logits, input_format=given, output=output, solid=solid
        )
        if side is not None and model._input.side != side:
            raise ValueError(f"{file} takes pictures of {model._input.side} pixels, not {side}")
        return model

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        matte = self._run(rgb)
        return to_full_size(rgb, opaque_deep_inside(matte) if self._solid else matte)

    def _run(self, rgb: Rgb) -> Float:
        """Run the network. Return the matte of the square picture: side x side, 0..1."""
        tensor = self._input.tensor(rgb).astype(self._dtype)
        (output,) = self._session.run([self._output], {self._name: tensor}, self._run_options)
        # Some networks leave out the first axis, or the first two.
        if output.shape not in (
            (1, 1, *tensor.shape[2:]),
            (1, *tensor.shape[2:]),
            tensor.shape[2:],
        ):
            raise ValueError(f"{self._file} returns the shape {output.shape}, which is no matte")
        matte = np.asarray(output.reshape(tensor.shape[2:]), np.float32)
        if self._logits:
            matte = 1 / (1 + np.exp(-matte.clip(-50, 50)))
        return np.asarray(matte.clip(0, 1), np.float32)


def _picture_input(file: Path, session: ort.InferenceSession) -> Any:
    """Return the description of the only input; raises ValueError if it is not a square picture.

    A side that is not a number takes any picture.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"{file} takes {len(inputs)} inputs; a matting network takes one picture")
    (entry,) = inputs
    fixed = [side if isinstance(side, int) else None for side in entry.shape]
    if (
        entry.type not in _DTYPES
        or len(fixed) != 4
        or fixed[0] not in (1, None)
        or fixed[1] not in (3, None)
        or (None not in fixed[2:] and fixed[2] != fixed[3])
    ):
        raise ValueError(
            f"{file} takes {entry.type} {entry.shape}, which is no picture: it must take float"
            " numbers in the shape 1 x 3 x side x side"
        )
    return entry


def _output_name(file: Path, session: ort.InferenceSession, name: str | None) -> str:
    """Return the name of the output that is the matte; raises ValueError if there is none of that name."""
    names: list[str] = [output.name for output in session.get_outputs()]
    if name is not None and name not in names:
        raise ValueError(f"{file} has no output {name!r}; there are: {', '.join(names)}")
    return names[0] if name is None else name


def _session(file: Path, device_config: DeviceConfig) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = device_config.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    kind, _, number = device_config.device.partition(":")
    providers: list[str | tuple[str, dict[str, int]]] = ["CPUExecutionProvider"]
    if kind == "cuda":
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise RuntimeError("this onnxruntime has no CUDA: install onnxruntime-gpu")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number or 0)}))
    return ort.InferenceSession(str(file), options, providers=providers)
