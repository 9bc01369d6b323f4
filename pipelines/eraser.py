"""Erase what a mask marks and fill the hole from its surroundings."""

import numpy as np
from numpy.typing import NDArray

from imaging.masks import MaskKind, fit_mask, grow
from imaging.picture import Picture
from models.roles import INPAINTING, Models


def eraser(
    picture: Picture, mask: NDArray[np.uint8], models: Models, mask_type: MaskKind = "manual"
) -> Picture:
    """Fill the masked part of `picture`.

    mask: height x width, 0..255, above 127 is erased; any size of the picture's aspect ratio.
    mask_type: a manual mask is taken as it is, an automatic one grows so that no rim of the object
    stays. Outside that area every pixel stays as it was; the alpha channel stays everywhere, and
    wholly transparent pixels lend no texture. A mask without white gives the picture unchanged.
    Raises MaskRatioError, and NothingToCopyError when the mask leaves nothing to fill from.
    """
    hole = grow(fit_mask(mask, picture.width, picture.height), mask_type)
    if not hole.any():
        return picture
    avoid = None if picture.alpha is None else picture.alpha == 0
    with models.use(INPAINTING) as inpainting:
        return Picture(inpainting.fill(picture.rgb, hole, avoid), picture.alpha)
