"""Matting with BiRefNet, RMBG-2.0 and similar networks as ONNX files, without torch or code from a repository.

Not tested with the published files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort

from imaging.picture import Matte, Rgb
from models.backends.matting_input import Float, MattingInput, to_full_size
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
    ) -> None:
        """Load `file`: a network with one input 1 x 3 x S x S and a matte 1 x 1 x S x S as first output.

        logits: whether the network returns the matte before the sigmoid, as BiRefNet's exports do;
        those of RMBG-2.0 return it after. input_format: a side that is fixed in the file overrides
        it. The dtype is that of the file. Raises ValueError that names the file.
        """
        device_config = device_config or DeviceConfig()
        try:
            self._session = _session(file, device_config)
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base class
            raise ValueError(f"{file} cannot be loaded: {error}") from error
        entry = self._session.get_inputs()[0]
        channels = entry.shape[1] if len(entry.shape) == 4 else 0
        if entry.type not in _DTYPES or (channels != 3 and not isinstance(channels, str)):
            raise ValueError(f"{file} takes {entry.type} {entry.shape}, which is no picture")
        self._dtype = _DTYPES[entry.type]
        self._name = entry.name
        default = input_format or MattingInput()
        side = entry.shape[2] if isinstance(entry.shape[2], int) else default.side
        self._input = MattingInput(side, default.mean, default.std)
        self._output = self._session.get_outputs()[0].name
        self._logits = logits
        self._file = file

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, logits: bool = True) -> Self:
        """Load the model of a card.

        paths: one ONNX file, or its folder. logits: as in the constructor.
        """
        inner = paths[0] / "onnx"  # the subfolder in repositories in hub layout
        file = only_file(inner if inner.is_dir() else paths[0])
        return cls(file, device_config, logits=logits)

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        return to_full_size(rgb, self._run(rgb))

    def _run(self, rgb: Rgb) -> Float:
        """Run the network. Return the matte of the square picture: side x side, 0..1."""
        tensor = self._input.tensor(rgb).astype(self._dtype)
        (output,) = self._session.run([self._output], {self._name: tensor})
        if output.shape != (1, 1, *tensor.shape[2:]):
            raise ValueError(f"{self._file} returns the shape {output.shape}, which is no matte")
        matte = np.asarray(output[0, 0], np.float32)
        if self._logits:
            matte = 1 / (1 + np.exp(-matte.clip(-50, 50)))
        return np.asarray(matte.clip(0, 1), np.float32)


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
