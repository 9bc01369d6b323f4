"""Put products into a scene: each in a box of its own, then a model blends light and shadow around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging.compositing import over, visible_share
from imaging.masks import dilate
from imaging.picture import Alpha8, Picture, Rgb, Window
from imaging.resize import resize_picture
from models.roles import Models
from pipelines.common.opacity import hidden_parts
from pipelines.common.subject import has_product_cut_out
from pipelines.crop import crop
from pipelines.edit_by_words import Words, edit_by_words
from pipelines.errors import OutsideCanvasError
from pipelines.instructions import instruction

MAX_PRODUCTS = 8
"""The largest number of products: the model is called once for each."""
_REACH = 0.2
"""How far from a product the scene may change, as a share of the longer side of its box: a contact shadow
and the beginning of a reflection."""
_LEAST_REACH = 8
"""The same in pixels, for small products."""
_SOLID = 128
"""From this alpha on a pixel is the product's own, and the model must not change it."""


@dataclass(frozen=True)
class Box:
    """Where a product goes: left, top, width and height, in pixels of the scene."""

    x: int
    y: int
    width: int
    height: int


def product_integrate(
    scene: Picture,
    products: Sequence[tuple[Picture, Box]],
    models: Models,
    seed: int,
    negative_prompt: str = "",
) -> Picture:
    """Return the scene with the products in it, in their order: later ones are in front of earlier ones.

    A product is framed by its own alpha if that cuts it out, otherwise by a matte, and stretched to its box.
    A box may reach over the edge of the scene, which then cuts the product off. The model changes what is
    near a product, at most a fifth of the longer side of its box. No other pixel of the scene changes, and
    none where a product is at least half opaque. The same seed gives the same picture.

    Raises NoForegroundError, ValueError for too many products, and OutsideCanvasError if a box is completely
    outside the scene.
    """
    if len(products) > MAX_PRODUCTS:
        raise ValueError(f"there are {len(products)} products, at most {MAX_PRODUCTS} are possible")
    words = Words(instruction("integrate"), negative_prompt)
    visible = np.zeros(scene.rgb.shape[:2], np.uint8)
    solid = np.zeros(visible.shape, np.bool_)
    for number, (product, box) in enumerate(products):
        window, part = _windows(scene, box)
        rgb, alpha = _fitted(product, box, models, part)
        scene = _placed(scene, rgb, alpha, window)
        visible[window] |= np.where(hidden_parts(alpha), np.uint8(0), np.uint8(1 << number))
        solid[window] |= alpha >= _SOLID
    for number, (_, box) in enumerate(products):
        reach = max(_LEAST_REACH, round(_REACH * max(box.width, box.height)))
        near = dilate((visible & (1 << number)) > 0, reach) & ~solid
        mask = near.view(np.uint8) * np.uint8(255)
        scene = edit_by_words([scene], models, words, seed, mask)
    return scene


def _fitted(product: Picture, box: Box, models: Models, part: Window) -> tuple[Rgb, Alpha8]:
    """Return a part of a product, which is cut off at its edges and stretched to its box."""
    whole = resize_picture(
        crop(product, models, is_cut_out=has_product_cut_out), (box.width, box.height)
    )
    alpha = np.full(whole.rgb.shape[:2], 255, np.uint8) if whole.alpha is None else whole.alpha
    return np.ascontiguousarray(whole.rgb[part]), np.ascontiguousarray(alpha[part])


def _windows(scene: Picture, box: Box) -> tuple[Window, Window]:
    """Return the part of the scene that a box covers, and the part of the box that is in the scene."""
    left, top = max(0, box.x), max(0, box.y)
    right, bottom = min(scene.width, box.x + box.width), min(scene.height, box.y + box.height)
    if left >= right or top >= bottom:
        raise OutsideCanvasError
    return (
        (slice(top, bottom), slice(left, right)),
        (slice(top - box.y, bottom - box.y), slice(left - box.x, right - box.x)),
    )


def _placed(scene: Picture, rgb: Rgb, alpha: Alpha8, window: Window) -> Picture:
    """Return the scene with a product over a window of it."""
    colours, share = scene.rgb.copy(), alpha
    opacity = scene.alpha
    if opacity is not None:
        opacity = opacity.copy()
        opacity[window] = _together(alpha, opacity[window])
        share = visible_share(alpha, opacity[window])
    colours[window] = over(rgb, share, colours[window])
    return Picture(colours, opacity)


def _together(front: Alpha8, back: Alpha8) -> Alpha8:
    """Return the opacity of one thing over another."""
    behind = (255 - front.astype(np.uint16)) * back
    return (front + (behind + 127) // 255).astype(np.uint8)
