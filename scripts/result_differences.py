"""The differences of two result files: pictures by levels, archives by members, texts by lines."""

import difflib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from psd_tools import PSDImage

Pixels = NDArray[np.uint8]

_MOST_LINES = 12
_RGBA = 4


@dataclass(frozen=True)
class Difference:
    """One difference of two results.

    mean, worst: for pictures of the same size, the difference in levels, 0..255; colours are weighted by
    opacity. None for any other difference, which is one of structure.
    """

    where: str
    text: str
    mean: float | None = None
    worst: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


def differences(extension: str, first: bytes, second: bytes) -> list[Difference]:
    """Return the differences of two files of one kind; none if their bytes are the same."""
    if first == second:
        return []
    found = list(_KINDS.get(extension, _of_pictures)(first, second))
    return found or [Difference("", "other bytes, same content", 0.0, 0)]


def _of_pictures(first: bytes, second: bytes) -> Iterator[Difference]:
    one, other = Image.open(BytesIO(first)), Image.open(BytesIO(second))
    if (one.format, one.mode) != (other.format, other.mode):
        yield Difference("", f"{one.format} {one.mode}, now {other.format} {other.mode}")
    else:
        yield from _of_pixels("", np.asarray(one), np.asarray(other))


def _of_pixels(where: str, one: Pixels, other: Pixels) -> Iterator[Difference]:
    if one.shape != other.shape:
        yield Difference(where, f"shape {one.shape}, now {other.shape}")
        return
    levels = np.abs(one.astype(np.float32) - other)
    if not levels.any():
        return
    share = np.count_nonzero(levels) / levels.size
    if levels.shape[-1] == _RGBA:
        levels[..., :3] *= np.maximum(one, other)[..., 3:] / np.float32(255)
    mean, worst = float(levels.mean()), int(np.ceil(levels.max()))
    text = f"mean {mean:.4f}, worst {worst} levels, {share:.2%} of values"
    yield Difference(where, text, mean, worst)


def _of_zips(first: bytes, second: bytes) -> Iterator[Difference]:
    one, other = _members(first), _members(second)
    if list(one) != list(other):
        yield Difference("", f"members {list(one)}, now {list(other)}")
    for name in filter(other.__contains__, one):
        for found in differences(name.rpartition(".")[2], one[name], other[name]):
            yield Difference(f"{name} {found.where}".strip(), found.text, found.mean, found.worst)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _of_psds(first: bytes, second: bytes) -> Iterator[Difference]:
    one, other = _layers(first), _layers(second)
    if list(one) != list(other):
        yield Difference("", f"layers {list(one)}, now {list(other)}")
    for name in filter(other.__contains__, one):
        (box, pixels), (other_box, other_pixels) = one[name], other[name]
        if box != other_box:
            yield Difference(name, f"at {box}, now {other_box}")
        else:
            yield from _of_pixels(name, pixels, other_pixels)


def _layers(data: bytes) -> Mapping[str, tuple[Any, Pixels]]:
    """Return the position and the pixels of each layer, and of the merged picture."""
    document = PSDImage.open(BytesIO(data))
    layers = {layer.name: (layer.bbox, np.asarray(layer.topil())) for layer in document}
    return {**layers, "(merged)": (document.size, np.asarray(document.topil()))}


def _of_texts(first: bytes, second: bytes) -> Iterator[Difference]:
    one, other = first.decode().splitlines(), second.decode().splitlines()
    lines = list(difflib.unified_diff(one, other, "before", "now", lineterm="", n=0))[2:]
    more = len(lines) - _MOST_LINES
    shown = [*lines[:_MOST_LINES], *([f"... {more} lines more"] if more > 0 else [])]
    yield Difference("", "\n    ".join(shown))


_KINDS = {"zip": _of_zips, "psd": _of_psds, "json": _of_texts, "html": _of_texts}
