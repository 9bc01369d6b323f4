"""Matting with BiRefNet, RMBG-2.0 and their like exported to ONNX: no code of others, no torch.

Not run on the published files.
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
    """Fulfils the role `models.roles.Matting`.

    Runs on CUDA where the device configuration asks for it; a provider that is missing is an error and no
    reason to run elsewhere. A call at 1024 x 1024 takes gigabytes of working memory: its cards are exclusive.
    """

    def __init__(
        self,
        file: Path,
        device_config: DeviceConfig | None = None,
        *,
        logits: bool = True,
        given: MattingInput | None = None,
    ) -> None:
        """Load `file`: one input 1 x 3 x S x S, whose first output is a matte 1 x 1 x S x S.

        logits: the matte is before its sigmoid, as BiRefNet's exports give it; RMBG-2.0's give it
        behind. given: the input's form; a side fixed in the file stands above it. The dtype is the
        file's own. Raises ValueError naming the file.
        """
        device_config = device_config or DeviceConfig()
        try:
            self._session = _session(file, device_config)
        except Exception as error:  # onnxruntime has a dozen exceptions with no common base
            raise ValueError(f"{file} cannot be loaded: {error}") from error
        entry = self._session.get_inputs()[0]
        channels = entry.shape[1] if len(entry.shape) == 4 else 0
        if entry.type not in _DTYPES or (channels != 3 and not isinstance(channels, str)):
            raise ValueError(f"{file} takes {entry.type} {entry.shape}, no picture")
        self._dtype = _DTYPES[entry.type]
        self._name = entry.name
        given = given or MattingInput()
        side = entry.shape[2] if isinstance(entry.shape[2], int) else given.side
        self._input = MattingInput(side, given.mean, given.std)
        self._output = self._session.get_outputs()[0].name
        self._logits = logits
        self._file = file

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, logits: bool = True) -> Self:
        """Load the model of a card; paths: one ONNX file or the folder that holds it; logits: see above."""
        inner = paths[0] / "onnx"  # where repositories in hub layout keep it
        file = only_file(inner if inner.is_dir() else paths[0])
        return cls(file, device_config, logits=logits)

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        return to_full_size(rgb, self._look(rgb))

    def _look(self, rgb: Rgb) -> Float:
        """Run the network: the matte of the square, 0..1."""
        tensor = self._input.tensor(rgb).astype(self._dtype)
        (found,) = self._session.run([self._output], {self._name: tensor})
        if found.shape != (1, 1, *tensor.shape[2:]):
            raise ValueError(f"{self._file} gives {found.shape}, no matte")
        matte = np.asarray(found[0, 0], np.float32)
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
