"""Make a picture of what words describe, in one of two resolutions."""

from fractions import Fraction
from typing import Literal

from imaging.picture import Picture
from imaging.resize import resize
from models.roles import SUPER_RESOLUTION, Models
from pipelines.edit_by_words import Words, picture_by_words, size_of_ratio

Resolution = Literal["1MP", "4MP"]
_AREA = 1024 * 1024
"""Pixels of a result at 1MP; a result at 4MP is twice as wide and twice as high."""


def generate(
    models: Models, words: Words, seed: int, ratio: Fraction, resolution: Resolution = "1MP"
) -> Picture:
    """Return an opaque picture of what the words describe; the same arguments give the same picture.

    ratio: of width to height. resolution: the area of the result. One of four megapixels is generated at
    the model's own size, and enlarged by the profile's super-resolution model, or resampled without one.
    """
    made = picture_by_words(models, words, seed, size_of_ratio(_AREA, ratio))
    return made if resolution == "1MP" else _doubled(made, models)


def _doubled(picture: Picture, models: Models) -> Picture:
    if not models.offers(SUPER_RESOLUTION):
        return Picture(resize(picture.rgb, (2 * picture.width, 2 * picture.height)))
    with models.use(SUPER_RESOLUTION) as model:
        return Picture(model.upscale(picture.rgb, 2))
