"""Picture files of each kind and of a wanted number of pixels."""

from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from imaging.files.header import probe
from server.http.uploads import Encoded

PHOTOS = Path(__file__).parents[3] / "docs" / "photos"


@cache
def encoded(kind: str, pixels: int, is_mask: bool = False) -> Encoded:
    """Return a picture file of about `pixels` pixels."""
    data = _MAKERS[kind](_photo(pixels))
    return Encoded(data, probe(data), is_mask)


def _photo(pixels: int) -> Image.Image:
    """Return a photograph, repeated in mirrors up to a size of about `pixels`, 4 : 3."""
    width = round((pixels * 4 / 3) ** 0.5)
    height = round(pixels / width)
    with Image.open(PHOTOS / "astronaut.jpg") as opened:
        tile = np.asarray(opened.convert("RGB").resize((max(256, width // 4),) * 2))
    rows, columns = -(-height // len(tile)), -(-width // len(tile))
    pair = np.hstack([tile, tile[:, ::-1]])
    block = np.vstack([pair, pair[::-1]])
    wall = np.tile(block, (rows // 2 + 1, columns // 2 + 1, 1))[:height, :width]
    return Image.fromarray(np.ascontiguousarray(wall))


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def _with_alpha(image: Image.Image, margin: float = 0.1) -> bytes:
    image.putalpha(_oval(image.size, margin))
    return _saved(image, "PNG", compress_level=1)


def _deep(image: Image.Image) -> bytes:
    """Return a PNG of 16 bits a sample with alpha."""
    rgba = np.dstack([np.asarray(image)[..., ::-1], np.asarray(_oval(image.size, 0.1))])
    ok, file = cv2.imencode(".png", rgba.astype(np.uint16) * 257)
    assert ok  # noqa: S101 - a file in memory
    return file.tobytes()


def _oval(size: tuple[int, int], margin: float) -> Image.Image:
    """Return a grey picture with a white oval, `margin` of each side away from the edges."""
    width, height = size
    mask = Image.new("L", size)
    box = (width * margin, height * margin, width * (1 - margin), height * (1 - margin))
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return mask


_MAKERS: Mapping[str, Callable[[Image.Image], bytes]] = {
    "opaque": lambda image: _saved(image, "JPEG", quality=90),
    "progressive": lambda image: _saved(image, "JPEG", quality=90, progressive=True),
    "cmyk": lambda image: _saved(image.convert("CMYK"), "JPEG", quality=90),
    "palette": lambda image: _saved(image.quantize(64), "PNG", compress_level=1),
    "webp": lambda image: _saved(image, "WEBP", quality=80, method=0),
    "alpha": _with_alpha,
    "touching": lambda image: _with_alpha(image, 0),
    "deep": _deep,
    "mask": lambda image: _saved(_oval(image.size, 0.35), "PNG", compress_level=1),
    "big mask": lambda image: _saved(_oval(image.size, 0.1), "PNG", compress_level=1),
}
