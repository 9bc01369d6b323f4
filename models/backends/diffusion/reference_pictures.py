"""The pictures that a prompt refers to, at sizes that an editing model can read."""

from collections.abc import Sequence

from PIL import Image

from imaging.picture import Mask, Rgb
from imaging.resize import Size, resize, within_area
from models.roles import MAX_PICTURES

LONGEST = 8
"""Largest ratio of two sides; longer pictures are compressed along their length. FLUX.2's own limit
(`Flux2ImageProcessor.check_image_input` of diffusers)."""


def check_request(pictures: Sequence[Rgb], size: Size, hole: Mask | None, multiple: int) -> None:
    """Raise ValueError for pictures, a size or a hole that break the rules of `InstructionEditing`.

    multiple: of the sides of `size`.
    """
    if len(pictures) > MAX_PICTURES:
        raise ValueError(f"{len(pictures)} pictures are more than {MAX_PICTURES}")
    if size[0] % multiple or size[1] % multiple:
        raise ValueError(f"sides of {size[0]}x{size[1]} are not multiples of {multiple}")
    if hole is None:
        return
    if not pictures or pictures[0].shape[:2] != hole.shape or hole.shape != (size[1], size[0]):
        raise ValueError(f"the first picture and the hole must be {size[0]}x{size[1]}")


def reference_pictures(
    pictures: Sequence[Rgb], size: Size, multiple: int, least: int
) -> list[Image.Image]:
    """Return pictures of at most the area of the result, so that a smaller result needs less memory.

    size: of the result. A picture of the same proportions gets exactly that size, so that each part
    of the result has the place of the part it is made from. The sides of others are multiples of
    `multiple`, and at least `least`.
    """
    return [
        Image.fromarray(resize(picture, _size_of(picture, size, multiple, least)))
        for picture in pictures
    ]


def _size_of(picture: Rgb, size: Size, multiple: int, least: int) -> Size:
    height, width = picture.shape[:2]
    if abs(width * size[1] / height - size[0]) < multiple and min(size) >= least:
        return size
    width, height = min(width, LONGEST * height), min(height, LONGEST * width)
    wide, high = within_area(width, height, size[0] * size[1])
    return max(least, wide // multiple * multiple), max(least, high // multiple * multiple)
