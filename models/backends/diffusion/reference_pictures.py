"""The pictures that a prompt refers to, at sizes that an editing model can read."""

from collections.abc import Sequence

from PIL import Image

from imaging.picture import Rgb
from imaging.resize import Size, SizeRule, resize, within_area, working_size

LONGEST = 8
"""Largest ratio of two sides; longer pictures are compressed along their length. FLUX.2's own limit
(`Flux2ImageProcessor.check_image_input` of diffusers)."""


def reference_pictures(
    pictures: Sequence[Rgb], size: Size | None, sizes: SizeRule, multiple: int, least: int
) -> list[Image.Image]:
    """Return pictures reduced to the model's area, their sides multiples of `multiple`, at least `least`.

    size: of the result. The first picture gets exactly that size if it has the same proportions, so
    that each part of the result has the place of the part it is made from. None: no picture does.
    """
    return [
        Image.fromarray(
            resize(
                picture, _size_of(picture, size if number == 0 else None, sizes, multiple, least)
            )
        )
        for number, picture in enumerate(pictures)
    ]


def _size_of(picture: Rgb, wanted: Size | None, sizes: SizeRule, multiple: int, least: int) -> Size:
    height, width = picture.shape[:2]
    if wanted is not None and min(wanted) >= least and working_size(width, height, sizes) == wanted:
        return wanted
    width, height = min(width, LONGEST * height), min(height, LONGEST * width)
    wide, high = within_area(width, height, sizes.area)
    return max(least, wide // multiple * multiple), max(least, high // multiple * multiple)
