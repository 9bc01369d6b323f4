"""Edit pictures as a text says: inside a mask, or as a whole."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from imaging.compositing import paste
from imaging.masks import fit_mask
from imaging.picture import Picture, Rgb
from imaging.resize import Size, resize, working_size
from models.roles import INSTRUCTION_EDITING, Models
from pipelines.common.canvas import prepare_input
from pipelines.common.opacity import opaque


@dataclass(frozen=True)
class Words:
    """What a model is told.

    prompt: it calls the pictures image 1, image 2 and so on. negative_prompt: what must not be visible.
    effort, guidance: multiples of the model's own number of steps and weight of the prompt
    (`models.roles.InstructionEditing`).
    """

    prompt: str
    negative_prompt: str = ""
    effort: float = 1.0
    guidance: float = 1.0


def edit_by_words(
    pictures: Sequence[Picture],
    models: Models,
    words: Words,
    seed: int,
    mask: NDArray[np.uint8] | None = None,
    ratio: Fraction | None = None,
) -> Picture:
    """Return the first picture, changed as the words say.

    pictures: at least one; the model sees them over white. mask: height x width, uint8, above 127 may
    change; any size with the first picture's aspect ratio. Outside it not one pixel changes, and inside
    it the result is opaque; a mask that marks nothing returns the picture itself. Without a mask the
    result is opaque and has the first picture's size. ratio: of width to height, instead of that of the
    first picture; the result then has about the first picture's area. It has no effect with a mask.

    The same seed gives the same picture. Raises MaskRatioError.
    """
    seen = [opaque(picture).rgb for picture in pictures]
    if mask is not None:
        return _edit_inside(pictures[0], mask, seen, models, words, seed)
    width, height = pictures[0].width, pictures[0].height
    size = (width, height) if ratio is None else size_of_ratio(width * height, ratio)
    return _edited(seen, models, words, [seed], size)[0]


def pictures_by_words(
    models: Models,
    words: Words,
    seeds: Sequence[int],
    size: Size,
    pictures: Sequence[Picture] = (),
) -> list[Picture]:
    """Return a new picture of what the words describe for each seed.

    size: width and height of the results. pictures: what the words refer to; the model sees them over white.
    """
    return _edited([opaque(picture).rgb for picture in pictures], models, words, seeds, size)


def size_of_ratio(area: int, ratio: Fraction) -> Size:
    """Return the width and height, each at least 1, of about `area` pixels with that ratio of width to height."""
    height = math.sqrt(area / ratio)
    return max(1, round(height * ratio)), max(1, round(height))


def _edited(
    seen: Sequence[Rgb], models: Models, words: Words, seeds: Sequence[int], size: Size
) -> list[Picture]:
    """Return the model's picture for each seed, made at a size of its own and resized to `size`."""
    with models.use(INSTRUCTION_EDITING) as model:
        made = model.edit(
            seen,
            words.prompt,
            words.negative_prompt,
            seeds,
            working_size(*size, model.sizes),
            effort=words.effort,
            guidance=words.guidance,
        )
    return [Picture(resize(one, size)) for one in made]


def _edit_inside(
    picture: Picture,
    mask: NDArray[np.uint8],
    seen: Sequence[Rgb],
    models: Models,
    words: Words,
    seed: int,
) -> Picture:
    """Return `picture` edited inside a mask. seen: the pictures over white, `picture` first."""
    hole = fit_mask(mask, picture.width, picture.height)
    if not hole.any():
        return picture
    with models.use(INSTRUCTION_EDITING) as model:
        part = prepare_input(seen[0], hole, model.sizes)
        (made,) = model.edit(
            [part.rgb, *seen[1:]],
            words.prompt,
            words.negative_prompt,
            [seed],
            (part.rgb.shape[1], part.rgb.shape[0]),
            hole=part.hole,
            effort=words.effort,
            guidance=words.guidance,
        )
    pasted = paste(seen[0], hole, part.window, made)
    rgb = np.where(hole[..., None], pasted, picture.rgb)
    alpha = None if picture.alpha is None else np.where(hole, np.uint8(255), picture.alpha)
    return Picture(rgb, alpha)
