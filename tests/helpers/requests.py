"""Pictures, masks and the token that tests send to the server."""

import base64
import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

TOKEN = {"api_token": "secret-a"}


def noise(width: int, height: int, channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return random pixels, so different from each other that none can be mistaken for another."""
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """Encode with Pillow."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@cache  # compressing noise takes longer than what most tests do with it
def photo(width: int = 320, height: int = 240, mode: str = "RGB", format: str = "PNG") -> bytes:
    """Return an encoded picture of noise."""
    return encode(Image.fromarray(noise(width, height)).convert(mode), format)


def mask(width: int = 320, height: int = 240) -> bytes:
    """Return an encoded mask with a white rectangle in its middle half."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    return encode(Image.fromarray(pixels))


def b64(data: bytes) -> str:
    """Encode in base64."""
    return base64.b64encode(data).decode()


ROUTES = (
    "/v1/background/remove",
    "/v1/background/blur",
    "/v1/crop",
    "/v1/eraser",
    "/v1/erase_foreground",
    "/v1/image/increase_resolution",
    "/v1/enhance_image",
    "/v1/image_expansion",
)


def fields(route: str) -> dict[str, Any]:
    """Return the smallest body of a route, its pictures in base64."""
    body = {"file": b64(photo())}
    if route == "/v1/eraser":
        body["mask_file"] = b64(mask())
    return body
