"""Which part of a picture is its subject."""

import numpy as np

from imaging.compositing import flatten
from imaging.picture import Alpha8, Picture
from models.roles import MATTING, Models


def brings_alpha(picture: Picture) -> bool:
    """Whether the picture has an alpha channel that is not opaque throughout."""
    return picture.alpha is not None and bool(picture.alpha.min() < 255)


def subject_alpha(picture: Picture, models: Models, force_rmbg: bool = False) -> Alpha8:
    """Return the subject's opacity, height x width, uint8 0..255.

    A picture that brings its own alpha, not opaque throughout, has its subject told by that alpha.
    Any other picture, and with `force_rmbg` any picture at all, is matted; the result is then
    nowhere above the picture's own alpha.
    """
    own = picture.alpha if brings_alpha(picture) else None
    if own is not None and not force_rmbg:
        return own
    # On mid-grey what the picture hides is not taken for a part of it: white swallows pale subjects,
    # black swallows dark ones.
    seen = picture.rgb if own is None else flatten(picture.rgb, own, 128)
    with models.use(MATTING) as matting:
        alpha = matting.matte(seen)
    return alpha if own is None else np.minimum(alpha, own)
