"""Erase the foreground and fill the area behind it."""

import numpy as np

from imaging.masks import automatic_radius, dilate
from imaging.picture import Mask, Picture
from models.errors import NothingToCopyError
from models.roles import Models
from pipelines.common.filling import fill_hole
from pipelines.common.subject import FAINT, subject_matte

# A multiple of an automatic mask's growth, because hair and contact shadows extend beyond the matte.
_GROWTH_FACTOR = 2
_LEAST_SOURCE = 0.01
"""Visible pixels outside the hole, as a share of its own: fewer are only the fringe of a cut-out."""


def erase_foreground(picture: Picture, models: Models) -> Picture:
    """Return `picture` with its subject removed and the area filled; no other pixel changes.

    A picture without a foreground is returned unchanged. The alpha channel does not change. The
    subject always comes from matting, within the picture's own alpha, because the background must
    be visible to be a source for the fill; what is at least half hidden is none. Faces and other
    objects, separate from the subject, are not copied into its place (`fill_hole`). Raises
    NothingToCopyError if the subject leaves no background.
    """
    subject = subject_matte(picture, models) > FAINT
    hole = dilate(subject, _GROWTH_FACTOR * automatic_radius(picture.height, picture.width))
    if not hole.any():
        return picture
    hidden = _hidden(picture)
    if np.count_nonzero(~hole & ~hidden) < _LEAST_SOURCE * np.count_nonzero(hole):
        raise NothingToCopyError("behind the foreground hardly anything is visible")
    return Picture(fill_hole(picture.rgb, hole, models, hidden), picture.alpha)


def _hidden(picture: Picture) -> Mask:
    """Return where a picture has less than half of its highest alpha."""
    if picture.alpha is None:
        return np.zeros((picture.height, picture.width), np.bool_)
    return picture.alpha < (int(picture.alpha.max()) + 1) // 2
