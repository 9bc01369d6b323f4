"""Moderation by a vision transformer on onnxruntime: one score for sexual content.

It is for onnx/model_quantized.onnx of AdamCodd/vit-base-nsfw-detector (Apache-2.0). Not tested with
the published file: tests make a tiny file with the same input and output.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.picture import Rgb
from models.backends.nsfw_labels import unsafe_places
from models.backends.onnx.network import Network
from models.device import DeviceConfig
from models.errors import BadWeightsError

SIDE = 384
"""Side in pixels of the square that the network was trained with (its `preprocessor_config.json`)."""
LABELS = ("sfw", "nsfw")
"""The network's outputs, in order (its `config.json`)."""


def pixel_values(rgb: Rgb, side: int = SIDE) -> NDArray[np.float32]:
    """Return a picture as the network's input: 1 x 3 x side x side, RGB, float32, -1..1.

    The picture is squeezed to the square with Pillow's bilinear filter, as transformers'
    ViTImageProcessor does.
    """
    small = Image.fromarray(rgb).resize((side, side), Image.Resampling.BILINEAR)
    normal = (np.asarray(small, np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


class VitNsfw:
    """Implements the role `models.roles.Moderation`.

    The network was trained to be strict: swimwear and bare skin count as nsfw. Its publisher takes
    the more likely label, which is a threshold of 0.5; the server's default of 0.8 blocks only
    what the network is sure of. Open NSFW, of profile `lite`, calls pictures below 0.2 safe and
    above 0.8 unsafe.
    """

    def __init__(
        self, file: Path, device_config: DeviceConfig, labels: Sequence[str] = LABELS
    ) -> None:
        """Load `file`; raises BadWeightsError that names it. labels: of the outputs, in order."""
        self._network = Network(file, device_config.threads, ["pixel_values"])
        if self._network.outputs != ("logits",):
            raise BadWeightsError(f"{file} is no classifier: it returns {self._network.outputs}")
        self._file, self._labels = file, tuple(labels)
        self._unsafe = unsafe_places(labels)
        self._side = self._network.inputs["pixel_values"].shape[-1] or SIDE

    @classmethod
    def load(
        cls, paths: Sequence[Path], device_config: DeviceConfig, labels: Sequence[str] = LABELS
    ) -> Self:
        """Load the model of a card; paths: the ONNX file."""
        return cls(paths[0], device_config, labels)

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Return the score `nsfw`, 0..1: the sum of the unsafe labels' probabilities."""
        logits = self._network.run({"pixel_values": pixel_values(rgb, self._side)})["logits"]
        if logits.shape != (1, len(self._labels)):
            raise BadWeightsError(
                f"{self._file} returns the shape {logits.shape}, not a number for each of"
                f" {', '.join(self._labels)}"
            )
        shifted = np.exp(logits[0].astype(np.float64) - logits.max())
        return {"nsfw": min(1.0, float(shifted[self._unsafe].sum() / shifted.sum()))}
