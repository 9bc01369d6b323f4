"""Pictures that carry a number, and routes whose results must show it."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers.server_process import b64, encoded

_SIDE, _BLOCK = 256, 32
BITS = (_SIDE // _BLOCK) ** 2
"""How many bits the number of a picture has."""
_DARK, _LIGHT = 60, 190


def marked(number: int) -> bytes:
    """Return a picture, 256 x 256, PNG, that carries a number of 64 bits."""
    bits = np.array([number >> place & 1 for place in range(BITS)], np.uint8)
    blocks = np.where(bits, _LIGHT, _DARK).astype(np.uint8).reshape(_SIDE // _BLOCK, -1)
    pixels = np.kron(blocks, np.ones((_BLOCK, _BLOCK), np.uint8))
    return encoded(Image.fromarray(pixels).convert("RGB"))


def mark_of(file: bytes, box: tuple[int, int, int, int] | None = None) -> int:
    """Return the number that a picture carries, in a box (left, top, right, bottom) of it."""
    with Image.open(io.BytesIO(file)) as image:
        part = image.convert("L").crop(box or (0, 0, *image.size))
    blocks = np.asarray(part.resize((_SIDE // _BLOCK,) * 2, Image.Resampling.BOX))
    middle = (_DARK + _LIGHT) / 2
    return sum(int(level > middle) << place for place, level in enumerate(blocks.ravel()))


def corner_mask() -> str:
    """Return a mask that marks a few pixels in the corner of the first block, in base64."""
    pixels = np.zeros((_SIDE, _SIDE), np.uint8)
    pixels[2:8, 2:8] = 255
    return b64(encoded(Image.fromarray(pixels)))


@dataclass(frozen=True)
class Kind:
    """A route whose result shows the mark.

    box: where; None: everywhere.
    """

    path: str
    fields: dict[str, Any]
    box: tuple[int, int, int, int] | None = None


KINDS = (
    Kind("/v1/eraser", {"mask_file": corner_mask()}),
    Kind(
        "/v1/image_expansion",
        {
            "canvas_size": [384, 384],
            "original_image_size": [256, 256],
            "original_image_location": [64, 64],
        },
        (64, 64, 320, 320),
    ),
    Kind("/v1/image/increase_resolution", {"desired_increase": 2}),
    Kind("/v2/image/edit/erase", {"mask": corner_mask()}),
    Kind("/v2/image/edit/increase_resolution", {"desired_increase": 2}),
)
