"""The pictures, fake models and pairs of requests of the trials."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image

from imaging.picture import Mask, Rgb
from models.roles import Face


class RampInpainting:
    """Fills each row with its own grey, so that a changed geometry changes the result."""

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Return `rgb` with its hole filled."""
        filled = rgb.copy()
        filled[hole] = (np.nonzero(hole)[0] % 251).astype(np.uint8)[:, None]
        return filled


class OneFace:
    """Finds one face in every picture."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        """Return it."""
        corners = np.zeros((68, 2), np.float32)
        return [Face((90.0, 60.0, 120.0, 120.0), corners, 1.0, 0.0, 0.0, (26, 42), "Female")]


@cache
def picture(kind: str) -> str:
    """Return a picture of 320 x 240 in base64.

    kind: noise, other (noise), red, half clear, half seen (through), clear, speck (clear but for a small
    part), mask, half mask, no picture.
    """
    if kind == "no picture":
        return base64.b64encode(b"nothing to see").decode()
    pixels = np.random.default_rng(kind == "other").integers(0, 256, (240, 320, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 3).astype(np.uint8)
    image = Image.fromarray(pixels)
    if kind == "red":
        image = Image.new("RGB", (320, 240), (255, 0, 0))
    elif kind in ("half clear", "half seen", "clear", "speck"):
        alpha = Image.new("L", image.size, 128 if kind == "half seen" else 0)
        if kind.startswith("half"):
            alpha.paste(255, (160, 0, 320, 240))
        elif kind == "speck":
            alpha.paste(255, (150, 110, 170, 130))
        image.putalpha(alpha)
    elif kind.endswith("mask"):
        image = Image.new("L", (320, 240))
        image.paste(255, (80, 60, 160 if kind == "half mask" else 240, 180))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def address(kind: str) -> str:
    """Return a picture as a data URL."""
    return f"data:image/png;base64,{picture(kind)}"


@dataclass(frozen=True)
class Trial:
    """One pair of requests: `base`, and the same with the field set to `value`.

    about: which use of the field is tried, if it has several.
    """

    base: Mapping[str, Any]
    value: Any
    about: str = ""


VALUES = {
    "sku": "SKU-1",
    "mode": "base",
    "exclude_elements": "people",
    "optimize_description": False,
    "placement_type": "automatic",
    "shot_size": [500, 300],
    "foreground_image_size": [200, 150],
    "foreground_image_location": [10, 20],
    "manual_placement_selection": ["bottom_right", "upper_left"],
    "padding_values": [9, 8, 7, 6],
    "ref_image_urls": address("other"),
    "ref_image_influence": 0.5,
    "is_private": True,
    "org_image_key": "a.png",
    "enhance": True,
    "mask_type": "automatic",
    "ref_image_url": address("other"),
    "ref_image_file": picture("other"),
    "prompt": "a wall",
    "negative_prompt": "people",
    "num_results": 2,
    "seed": 5,
    "fast": False,
    "refine_prompt": False,
    "enhance_ref_image": False,
    "original_quality": True,
    "scale": 1,
    "canvas_size": [500, 300],
    "original_image_size": [200, 150],
    "original_image_location": [10, 20],
    "desired_increase": 4,
    "desired_resolution": "nhd",
    "padding": 9,
    "aspect_ratio": "16:9",
    "resolution": "4MP",
    "steps_num": 30,
    "background_color": "#20A060",
    "type": "float",
    "shadow_type": "float",
    "shadow_color": "#AA0000",
    "shadow_offset": [20, 30],
    "shadow_intensity": 90,
    "shadow_blur": 40,
    "text_guidance_scale": 7.5,
    "medium": "art",
    "prompt_enhancement": True,
    "enhance_image": True,
    "ip_signal": True,
    "image_prompt_mode": "style_only",
    "image_prompt_scale": 0.5,
    "image_prompt_file": picture("other"),
    "image_prompt_urls": address("other"),
    **{
        f"guidance_method_{number}{end}": value
        for number in (1, 2)
        for end, value in (
            ("", "controlnet_depth"),
            ("_scale", 0.5),
            ("_image_file", picture("other")),
        )
    },
}
"""By field of v1: the value of its trial, unless that needs a request of its own."""
