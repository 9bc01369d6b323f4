"""Erase the foreground and fill the area behind it."""

import numpy as np

from imaging.masks import automatic_radius, dilate
from imaging.picture import Picture
from models.roles import INPAINTING, Models
from pipelines.common.subject import subject_alpha
from pipelines.common.texture_sources import lone_objects

_FAINT = 12  # 5 % opacity: below it a matte is noise rather than hair
_ROOM = 2  # times an automatic mask's growth: hair and contact shadows reach beyond the matte


def erase_foreground(picture: Picture, models: Models) -> Picture:
    """Fill where the subject of `picture` stands; elsewhere every pixel stays as it was.

    A picture without a foreground has nothing to erase and is given back unchanged. The alpha
    channel stays; a picture's own alpha only bounds the subject, because the background to fill
    from must be visible. What stands clear of the subject is not repeated in its place. Raises
    NothingToCopyError when the subject leaves no background.
    """
    subject = subject_alpha(picture, models, force_rmbg=True) > _FAINT
    hole = dilate(subject, _ROOM * automatic_radius(picture.height, picture.width))
    if not hole.any():
        return picture
    avoid = np.zeros_like(hole) if picture.alpha is None else picture.alpha == 0
    avoid |= lone_objects(picture.rgb, hole, avoid, models)
    with models.use(INPAINTING) as inpainting:
        return Picture(inpainting.fill(picture.rgb, hole, avoid), picture.alpha)
