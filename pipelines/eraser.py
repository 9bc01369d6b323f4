"""Erase the area that a mask marks and fill it from its surroundings."""

import numpy as np
from numpy.typing import NDArray

from imaging.masks import MaskKind, fit_mask, grow
from imaging.picture import Mask, Picture
from models.roles import Models
from pipelines.common.filling import fill_hole


def eraser(
    picture: Picture,
    mask: NDArray[np.uint8],
    models: Models,
    mask_type: MaskKind = "manual",
    unwanted: Mask | None = None,
) -> Picture:
    """Return `picture` with the masked area filled.

    mask: height x width, uint8, above 127 is erased; any size with the picture's aspect ratio.
    mask_type: a "manual" mask is used as it is; an "automatic" mask is grown, so that no edge of
    the object remains. Pixels outside that area do not change, and neither does the alpha channel.
    Neither fully transparent pixels nor faces and separate objects are copied into the hole, nor is
    what `unwanted` marks (height x width), as long as anything else is left (`fill_hole`). If the
    mask marks nothing, the picture is returned unchanged. Raises MaskRatioError, and
    NothingToCopyError if the mask leaves nothing to fill from.
    """
    hole = grow(fit_mask(mask, picture.width, picture.height), mask_type)
    if not hole.any():
        return picture
    transparent = None if picture.alpha is None else picture.alpha == 0
    return Picture(fill_hole(picture.rgb, hole, models, transparent, unwanted), picture.alpha)
