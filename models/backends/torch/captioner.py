"""The captioning model: BLIP says in one sentence what a picture shows.

Li, Li, Xiong and Hoi, "BLIP: Bootstrapping Language-Image Pre-training", ICML 2022; the weights are
Salesforce/blip-image-captioning-large (BSD-3-Clause), run by transformers' own class. Not run on full
weights: tests use a tiny model.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

from imaging.picture import Rgb
from imaging.resize import resize, within_side
from models.backends.torch.checkpoints import first_line
from models.backends.torch.loading import LOADING
from models.backends.torch.pretrained import load_pretrained, torch_dtype
from models.backends.torch.residence import DeviceModule
from models.device import DeviceConfig
from models.errors import BadWeightsError

_NEW_TOKENS = 40
"""A caption of BLIP's training data has ten words; more are repetitions."""
_BEAMS = 3
_WORK_SIDE = 768
"""Pixels: larger pictures are reduced to it by area first, as the processor's own reduction to 384
takes as long as the model for a picture of 12 MP."""
_START = re.compile(r"^(?:ara(?:ff?ed|ffe)|there (?:is|are))\s+", re.IGNORECASE)
"""BLIP-large's habit: "arafed", a word of its training data that means nothing, and "there is"."""


class Captioner:
    """Fulfils the role `models.roles.Captioning`; safe to call from several threads."""

    def __init__(self, folder: Path, device_config: DeviceConfig) -> None:
        """Load from a folder in Hugging Face layout; raises BadWeightsError."""
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

    def caption(self, rgb: Rgb) -> str:
        """Give one English sentence, without a full stop; the same picture gives the same sentence."""
        small = resize(rgb, within_side(rgb.shape[1], rgb.shape[0], _WORK_SIDE))
        # As a picture: an array may be read-only, of which torch makes no tensor.
        shown = Image.fromarray(small)
        pixels = self._processor.image_processor(images=shown, return_tensors="pt")["pixel_values"]
        with self._module.on_device() as model:
            tokens = model.generate(
                pixel_values=pixels.to(self._module.device, self._module.dtype),
                do_sample=False,
                num_beams=_BEAMS,
                max_new_tokens=_NEW_TOKENS,
            )
        words = tokens[0, 1:]  # the first token says that a caption begins
        return sentence(self._processor.tokenizer.decode(words, skip_special_tokens=True))


def sentence(text: str) -> str:
    """Return a model's caption on one line, without its full stop and its meaningless first words."""
    return _START.sub("", " ".join(text.split())).rstrip(" .")
