"""Erase the area that a mask marks and fill it from its surroundings."""

import numpy as np
from numpy.typing import NDArray

from imaging.masks import MaskKind, fit_mask, grow
from imaging.picture import Mask, Picture
from models.roles import INPAINTING, Models


def eraser(
    picture: Picture,
    mask: NDArray[np.uint8],
    models: Models,
    mask_type: MaskKind = "manual",
    avoid: Mask | None = None,
) -> Picture:
    """Return `picture` with the masked area filled.

    mask: height x width, uint8, above 127 is erased; any size with the picture's aspect ratio.
    mask_type: a "manual" mask is used as it is; an "automatic" mask is grown, so that no edge of
    the object remains. Pixels outside that area do not change, and neither does the alpha channel.
    Fully transparent pixels are not copied into the hole, and neither are those where `avoid` is True
    (height x width). If the mask marks nothing, the picture is returned unchanged. Raises
    MaskRatioError, and NothingToCopyError if nothing is left to fill from.
    """
    hole = grow(fit_mask(mask, picture.width, picture.height), mask_type)
    if not hole.any():
        return picture
    if picture.alpha is not None:
        transparent = picture.alpha == 0
        avoid = transparent if avoid is None else avoid | transparent
    with models.use(INPAINTING) as inpainting:
        return Picture(inpainting.fill(picture.rgb, hole, avoid), picture.alpha)
