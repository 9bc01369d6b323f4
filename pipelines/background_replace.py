"""Background replacement: the subject on a plain colour."""

import numpy as np

from models.base import Models
from pipelines.compose import estimate_foreground, over
from pipelines.picture import Picture
from pipelines.resolution import one_megapixel
from pipelines.subject import subject_alpha


def background_colour(
    picture: Picture,
    models: Models,
    colour: tuple[int, int, int],
    original_quality: bool = False,
    force_rmbg: bool = False,
) -> Picture:
    """Give the subject of `picture` on a plain background, opaque.

    colour: sRGB, 0..255 each. original_quality: the result has the picture's size; otherwise about
    one megapixel, the aspect ratio kept. A picture that brings its own alpha has its subject told
    by it; `force_rmbg` has it found anew.
    """
    if not original_quality:
        picture = one_megapixel(picture)
    alpha = subject_alpha(picture, models, force_rmbg)
    # Colours under a picture's own alpha are the subject's already.
    own = alpha is picture.alpha
    front = picture.rgb if own else estimate_foreground(picture.rgb, alpha)
    return Picture(over(front, alpha, np.full_like(front, colour)))
