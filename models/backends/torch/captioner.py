"""The captioning model: BLIP describes a picture in one sentence.

Li, Li, Xiong and Hoi, "BLIP: Bootstrapping Language-Image Pre-training", ICML 2022. The weights are
Salesforce/blip-image-captioning-large (BSD-3-Clause), loaded by transformers' own class. Not tested
with the full weights: tests use a tiny model.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from PIL import Image
from torch import Tensor, nn
from transformers import BlipForConditionalGeneration, BlipProcessor

from imaging.picture import Rgb
from imaging.resize import resize, within_side
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING, between_loads
from models.backends.torch.pretrained import load_pretrained, torch_dtype
from models.backends.weight_files import first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.processing import Infer, make_call

_NEW_TOKENS = 40
"""Limit of the caption's length. Captions in BLIP's training data have about ten words; longer ones repeat."""
_BEAMS = 3
_WORK_SIDE = 768
"""Longest side in pixels. Larger pictures are reduced by area first: for 12 megapixels, the
processor's own reduction to 384 takes as long as the model."""
_START = re.compile(r"^(?:ara(?:ff?ed|ffe)|there (?:is|are))\s+", re.IGNORECASE)
"""BLIP-large often starts with "there is", or with "arafed", a meaningless word from its training data."""


class Captioner:
    """Implements the role `models.roles.Captioning`. Several threads may call it."""

    def __init__(self, folder: Path, device_config: DeviceConfig) -> None:
        """Load from a folder in hub layout; raises BadWeightsError."""
        dtype = torch_dtype(device_config)
        model = load_pretrained(BlipForConditionalGeneration, folder, dtype)
        try:
            with LOADING:
                self._processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadWeightsError(f"{folder} has no processor: {first_line(error)}") from error
        self._module = DeviceModule(model, device_config, dtype)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: a repository in hub layout."""
        return cls(paths[0], device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._module.networks()

    def caption(self, rgb: Rgb) -> str:
        """Return one English sentence without a full stop.

        The same picture gives the same sentence.
        """
        text: str = make_call(self, rgb)
        return text

    @property
    def processing(self) -> Callable[..., str]:
        """The resizing and normalising before the network; see `models.processing`."""
        return partial(_caption, self._processor.image_processor)

    def infer(self, inputs: Sequence[Tensor]) -> list[str]:
        """Return the caption of each normalised picture, 1 x 3 x height x width, as the model writes it."""
        return [self._generate(pixels) for pixels in inputs]

    def _generate(self, pixels: Tensor) -> str:
        with self._module.on_device() as model:
            tokens = model.generate(
                pixel_values=pixels.to(self._module.device, self._module.dtype),
                do_sample=False,
                num_beams=_BEAMS,
                max_new_tokens=_NEW_TOKENS,
            )
        words = tokens[0, 1:]  # the first token is the start token
        return str(self._processor.tokenizer.decode(words, skip_special_tokens=True))


def _caption(image_processor: Any, infer: Infer, rgb: Rgb) -> str:
    small = resize(rgb, within_side(rgb.shape[1], rgb.shape[0], _WORK_SIDE))
    # As a PIL image: torch cannot make a tensor from a read-only array.
    image = Image.fromarray(small)
    # A model that loads on another thread changes torch's default dtype.
    with between_loads():
        pixels = image_processor(images=image, return_tensors="pt")["pixel_values"]
    return sentence(infer(pixels))


def sentence(text: str) -> str:
    """Return a model's caption on one line, without full stop and meaningless first words."""
    return _START.sub("", " ".join(text.split())).rstrip(" .")
