"""Background replacement: the subject on a plain colour."""

import numpy as np

from models.base import Models
from pipelines.compose import cut_out, over
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
    subject = cut_out(picture, alpha)
    return Picture(over(subject.rgb, alpha, np.full_like(subject.rgb, colour)))
