"""Find the subject of a picture."""

from typing import Any

import numpy as np

from imaging.compositing import flatten
from imaging.picture import Alpha8, Picture
from models.roles import MATTING, Models, Role


def has_transparency(picture: Picture) -> bool:
    """Whether the picture has an alpha channel with at least one pixel that is not opaque."""
    return picture.alpha is not None and bool(picture.alpha.min() < 255)


def subject_roles(picture: Picture, force_rmbg: bool = False) -> tuple[Role[Any], ...]:
    """Return the roles that `subject_alpha` needs for a picture."""
    return () if has_transparency(picture) and not force_rmbg else (MATTING,)


def subject_alpha(picture: Picture, models: Models, force_rmbg: bool = False) -> Alpha8:
    """Return the subject's opacity, height x width, uint8 0..255.

    If the picture has transparent pixels, its alpha channel is the result. Any other picture, and
    with `force_rmbg` every picture, goes through the matting model; the result is then at most the
    picture's own alpha.
    """
    own = picture.alpha if has_transparency(picture) else None
    if own is not None and not force_rmbg:
        return own
    # Transparent parts become mid-grey for the model: on white it loses pale subjects, on black
    # dark ones.
    visible = picture.rgb if own is None else flatten(picture.rgb, own, 128)
    with models.use(MATTING) as matting:
        alpha = matting.matte(visible)
    return alpha if own is None else np.minimum(alpha, own)
