"""Packshot: a product in the middle of a square, on a colour or transparent."""

import numpy as np

from imaging.compositing import flatten
from imaging.picture import Picture
from imaging.resize import resize_picture, scaled
from models.roles import Models
from pipelines.common.colours import Colour
from pipelines.product_cutout import product_cutout

SIDE = 2000
"""Width and height of a packshot, in pixels."""
FILLED = 0.85
"""Share of the side that the product's longer side has: what marketplaces ask of a main picture (Amazon:
85 % or more of the frame)."""


def product_packshot(
    picture: Picture,
    models: Models,
    background: Colour | None = (255, 255, 255),
    force_rmbg: bool = False,
) -> Picture:
    """Return the product in the middle of 2000 x 2000 pixels; its longer side has 1700.

    background: sRGB, 0..255 each; None: transparent. force_rmbg: as in `product_cutout`. A small product is
    enlarged by the Lanczos filter.

    Raises NoForegroundError if the picture has no product.
    """
    product = product_cutout(picture, models, force_rmbg)
    factor = FILLED * SIDE / max(product.width, product.height)
    size = scaled(product.width, product.height, factor)
    return _centred(resize_picture(product, size, reducing_gap=3), background)


def _centred(product: Picture, background: Colour | None) -> Picture:
    """Return a cut-out in the middle of a packshot."""
    across, down = SIDE - product.width, SIDE - product.height
    sides = (down // 2, down - down // 2), (across // 2, across - across // 2)
    rgb = np.pad(product.rgb, (*sides, (0, 0)), mode="edge")
    alpha = (
        np.full(product.rgb.shape[:2], 255, np.uint8) if product.alpha is None else product.alpha
    )
    alpha = np.pad(alpha, sides)
    return Picture(rgb, alpha) if background is None else Picture(flatten(rgb, alpha, background))
