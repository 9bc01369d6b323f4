"""Moderation with an image classifier from the hub, run by transformers' own classes.

It is for Falconsai/nsfw_image_detection and Freepik/nsfw_image_detector. Only tested with random
weights: not with the published ones, and not on a GPU.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

from imaging.picture import Rgb
from models.backends.nsfw_labels import unsafe_places
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING, between_loads
from models.backends.torch.pretrained import load_pretrained, torch_dtype
from models.backends.weight_files import first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.processing import Infer, make_call


class NsfwClassifier:
    """Implements the role `models.roles.Moderation`.

    The score is the sum of the unsafe labels' probabilities.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig | None = None) -> None:
        """Load a local folder in hub layout, strictly; raises BadWeightsError.

        A label in neither SAFE nor UNSAFE is an error: a wrong guess could let unsafe pictures
        pass.
        """
        device_config = device_config or DeviceConfig()
        gpu = device_config.device.startswith("cuda")
        dtype = torch_dtype(device_config) if gpu else torch.float32
        network: Any = load_pretrained(AutoModelForImageClassification, folder, dtype)
        try:
            with LOADING:
                kind: Any = AutoImageProcessor
                self._processor = kind.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadWeightsError(
                f"{folder} has no image processor: {first_line(error)}"
            ) from error
        labels = sorted((int(i), str(name)) for i, name in network.config.id2label.items())
        try:
            self._unsafe = unsafe_places([name for _, name in labels])
        except ValueError as error:
            raise BadWeightsError(f"{folder / 'config.json'} has {error}") from error
        self._module: DeviceModule[Any] = DeviceModule(network, device_config, dtype)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: a repository in hub layout."""
        return cls(paths[0], device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._module.networks()

    def score(self, rgb: Rgb) -> Mapping[str, float]:
        """Return the score `nsfw`, 0..1."""
        score: Mapping[str, float] = make_call(self, rgb)
        return score

    @property
    def processing(self) -> Callable[..., Mapping[str, float]]:
        """The repository's image processor, before the network; see `models.processing`."""
        return partial(_score, self._processor)

    def batch_key(self, pixels: Tensor) -> tuple[int, ...]:
        """Return the size of an input: that is the same for all pictures."""
        return tuple(pixels.shape)

    def infer(self, inputs: Sequence[Tensor]) -> list[float]:
        """Run the network on normalised pictures, 1 x 3 x height x width. Return the score of each."""
        pixels = torch.cat(list(inputs))
        with self._module.on_device() as network:
            logits = network(pixels.to(self._module.device, self._module.dtype)).logits
            probabilities = logits.float().softmax(1).cpu()
        return [min(1.0, float(row[self._unsafe].sum())) for row in probabilities]


def _score(processor: Any, infer: Infer, rgb: Rgb) -> Mapping[str, float]:
    # A model that loads on another thread changes torch's default dtype, with which timm's processors work.
    with between_loads():
        pixels = processor(images=[Image.fromarray(rgb)], return_tensors="pt")["pixel_values"]
    return {"nsfw": infer(pixels)}
