"""The pictures that the clients of version 2 send, and one valid request for each of its routes."""

import base64
from typing import Any

from PIL import Image, ImageDraw

from tests.helpers.server_process import encoded, sample

SIDE = 256
PHOTOGRAPH = sample("astronaut", SIDE)
"""256 x 256 pixels, JPEG."""


def _mask() -> bytes:
    """Return a mask with soft edges, in grey, as nodes of ComfyUI send it."""
    mask = Image.new("L", (SIDE * 2, SIDE * 2))
    ImageDraw.Draw(mask).ellipse((360, 60, 480, 180), fill=255)
    return encoded(mask.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


MASK = _mask()


def digits(content: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(content).decode()


IMAGE_FIELD = digits(PHOTOGRAPH)
MASK_FIELD = digits(MASK)

LITE: dict[str, dict[str, Any]] = {
    "image/edit/erase": {"image": IMAGE_FIELD, "mask": MASK_FIELD},
    "image/edit/remove_background": {"image": IMAGE_FIELD},
    "image/edit/replace_background": {"image": IMAGE_FIELD, "prompt": "#1e90ff"},
    "image/edit/erase_foreground": {"image": IMAGE_FIELD},
    "image/edit/blur_background": {"image": IMAGE_FIELD, "scale": 3},
    "image/edit/expand": {"image": IMAGE_FIELD, "aspect_ratio": "16:9"},
    "image/edit/increase_resolution": {"image": IMAGE_FIELD, "desired_increase": 2},
    "image/edit/crop_foreground": {"image": IMAGE_FIELD, "padding": 4},
    "image/edit/enhance": {"image": IMAGE_FIELD},
    "image/edit/product/cutout": {"image": IMAGE_FIELD, "sku": "SKU-1"},
    "image/segment/all_masks": {"image": IMAGE_FIELD},
}
"""By path below /v2: a request that profile `lite` can do."""
SYNCHRONOUS = [path for path in LITE if not path.endswith("/enhance")]

GENERATIVE: dict[str, dict[str, Any]] = {
    "image/edit/gen_fill": {"image": IMAGE_FIELD, "mask": MASK_FIELD, "prompt": "a red hat"},
    "image/edit/replace_background": {"image": IMAGE_FIELD, "prompt": "a beach at sunset"},
}
"""By path below /v2: a request that needs a generative model."""
