"""Florence-2 on onnxruntime: sentences about a picture, and names and boxes of its objects.

Xiao et al. 2024, "Florence-2: Advancing a Unified Representation for a Variety of Vision Tasks". It
is for the 8-bit files of onnx-community/Florence-2-base-ft (MIT). Not tested with the published
files: tests make tiny files with the same inputs and outputs.
"""

import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from imaging.picture import Rgb
from models.backends.onnx.beam_search import DecodingRules, search
from models.backends.onnx.florence2_vision import SIDE, corrected, pixel_values
from models.backends.onnx.merged_decoder import DECODER_INPUTS, MergedDecoder, check_decoder
from models.backends.onnx.network import Array, Network
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.roles import DetectedObject


@dataclass(frozen=True)
class _Task:
    """A task of the model.

    prompt: the sentence that stands for it in the publisher's `processing_florence2.py`. longest:
    the most tokens of an answer.
    """

    prompt: str
    longest: int


_CAPTION = _Task("What does the image describe?", 64)
"""The task <CAPTION>. A caption has about ten words."""
_OBJECTS = _Task("Locate the objects with category name in the image.", 320)
"""The task <OD>. An object takes five to eight tokens, so this is about fifty objects."""

_START, _BEGIN, _END = 2, 0, 2
_BEAMS, _NO_REPEAT = 3, 3
"""As the publisher's `generation_config.json` has them."""

_OBJECT = re.compile(r"([^<>]+)((?:<loc_\d{1,3}>){4,})")
_BOX = re.compile(r"<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>")
_SPECIAL = re.compile(r"<s>|</s>|<pad>")
_BINS = 1000
"""A location is one of a thousand equal steps along the width or the height."""


class Florence2:
    """The four networks and the tokenizer, in memory once for all roles that use them."""

    def __init__(self, paths: Sequence[Path], device_config: DeviceConfig) -> None:
        """Load the files of a card; raises BadWeightsError.

        paths: the vision encoder, the embedding of tokens, the encoder, the merged decoder and
        `tokenizer.json`.
        """
        vision, embedding, encoder, decoder, tokenizer = paths
        threads = device_config.threads
        self._vision = Network(vision, threads, ["pixel_values"], content=corrected(vision))
        self._embedding = Network(embedding, threads, ["input_ids"])
        self._encoder = Network(encoder, threads, ["inputs_embeds", "attention_mask"])
        self._decoder = Network(decoder, threads, DECODER_INPUTS)
        check_decoder(decoder, self._decoder)
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # the library raises Exception itself
            raise BadWeightsError(f"{tokenizer} cannot be loaded: {error}") from error
        self._side = self._vision.inputs["pixel_values"].shape[-1] or SIDE

    @classmethod
    def shared(cls, paths: Sequence[Path], device_config: DeviceConfig) -> "Florence2":
        """Return the model of these files, loaded at most once while anything uses it."""
        key = (tuple(paths), device_config)
        with _LOADING:
            model = _LOADED.get(key)
            if model is None:
                model = _LOADED[key] = cls(paths, device_config)
            return model

    def answer(self, rgb: Rgb, task: _Task) -> str:
        """Return the model's answer as it writes it, special tokens included.

        The deadline is checked between the networks and between the tokens.
        """
        states = self._encode(rgb, task.prompt)
        decoder = MergedDecoder(self._decoder, self._embed, states, _ones(states))
        rules = DecodingRules(_START, _BEGIN, _END, _BEAMS, task.longest, _NO_REPEAT)
        return str(self._tokenizer.decode(search(decoder, rules), skip_special_tokens=False))

    def _encode(self, rgb: Rgb, prompt: str) -> Array:
        """Return the encoder's states of a picture and a prompt: 1 x length x width."""
        checkpoint()
        pixels = pixel_values(rgb, self._side)
        picture = next(iter(self._vision.run({"pixel_values": pixels}).values()))
        checkpoint()
        ids = np.array([self._tokenizer.encode(prompt).ids], np.int64)
        both = np.concatenate([picture, self._embed(ids)], axis=1)
        outputs = self._encoder.run({"inputs_embeds": both, "attention_mask": _ones(both)})
        return next(iter(outputs.values()))

    def _embed(self, ids: NDArray[np.int64]) -> Array:
        """Return the embeddings of tokens: n x length x width."""
        return next(iter(self._embedding.run({"input_ids": ids}).values()))


_LOADING = Lock()
_LOADED: weakref.WeakValueDictionary[tuple[tuple[Path, ...], DeviceConfig], Florence2] = (
    weakref.WeakValueDictionary()
)


class Florence2Captioning:
    """Implements the role `models.roles.Captioning`. It takes one call at a time."""

    def __init__(self, model: Florence2) -> None:
        self._model = model

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: those of `Florence2`."""
        return cls(Florence2.shared(paths, device_config))

    def caption(self, rgb: Rgb) -> str:
        """Return one English sentence, without a full stop. The same picture gives the same sentence."""
        text = re.sub(r"<[^<>]*>", " ", self._model.answer(rgb, _CAPTION))
        return " ".join(text.split()).rstrip(" .")


class Florence2Detection:
    """Implements the role `models.roles.ObjectDetection`. It takes one call at a time."""

    def __init__(self, model: Florence2) -> None:
        self._model = model

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: those of `Florence2`."""
        return cls(Florence2.shared(paths, device_config))

    def detect(self, rgb: Rgb) -> list[DetectedObject]:
        """Return the objects of a picture in the order in which the model names them."""
        answer = self._model.answer(rgb, _OBJECTS)
        return detected_objects(answer, rgb.shape[1], rgb.shape[0])


def detected_objects(answer: str, width: int, height: int) -> list[DetectedObject]:
    """Return what an answer to <OD> names, in pixels of a picture of width x height.

    answer: names, each followed by the locations of one or several boxes: `cat<loc_1><loc_2>...`,
    four a box, left, top, right and bottom. A location stands for the middle of its step. Boxes
    without an area, and what does not have this form, are left out.
    """
    found = []
    for name, locations in _OBJECT.findall(_SPECIAL.sub("", answer)):
        label = " ".join(name.split())
        for bins in _BOX.findall(locations):
            left, top, right, bottom = (
                (int(number) + 0.5) * side / _BINS
                for number, side in zip(bins, (width, height, width, height), strict=True)
            )
            if label and left < right and top < bottom:
                found.append(DetectedObject(label, (left, top, right, bottom)))
    return found


def _ones(array: Array) -> NDArray[np.int64]:
    """Return an attention mask for an array of n x length x width: every position counts."""
    return np.ones(array.shape[:2], np.int64)
