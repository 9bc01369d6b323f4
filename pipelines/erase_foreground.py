"""Erase the foreground and fill the area behind it."""

import numpy as np

from imaging.masks import automatic_radius, dilate
from imaging.picture import Picture
from models.roles import INPAINTING, Models
from pipelines.common.subject import FAINT, subject_matte
from pipelines.common.texture_sources import isolated_objects

# A multiple of an automatic mask's growth, because hair and contact shadows extend beyond the matte.
_GROWTH_FACTOR = 2


def erase_foreground(picture: Picture, models: Models) -> Picture:
    """Return `picture` with its subject removed and the area filled; no other pixel changes.

    A picture without a foreground is returned unchanged. The alpha channel does not change. The
    subject always comes from matting, within the picture's own alpha, because the background must
    be visible to be a source for the fill. Other objects, separate from the subject, are not copied
    into its place. Raises NothingToCopyError if the subject leaves no background.
    """
    subject = subject_matte(picture, models) > FAINT
    hole = dilate(subject, _GROWTH_FACTOR * automatic_radius(picture.height, picture.width))
    if not hole.any():
        return picture
    avoid = np.zeros_like(hole) if picture.alpha is None else picture.alpha == 0
    avoid |= isolated_objects(picture.rgb, hole, avoid, models)
    with models.use(INPAINTING) as inpainting:
        return Picture(inpainting.fill(picture.rgb, hole, avoid), picture.alpha)
