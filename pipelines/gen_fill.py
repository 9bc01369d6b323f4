"""Generative fill: what a prompt names, generated where a mask asks for it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imaging.compositing import paste
from imaging.masks import MaskKind, fit_mask, grow
from imaging.picture import Picture
from models.roles import GENERATIVE_FILL, Models
from pipelines.common.canvas import cut


def gen_fill(
    picture: Picture,
    mask: NDArray[np.uint8],
    models: Models,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    mask_type: MaskKind = "manual",
) -> list[Picture]:
    """Generate one picture for each seed.

    mask: greyscale of any size with the picture's aspect ratio, above 127 is generated. Outside the
    (grown) mask every pixel stays; alpha stays everywhere but in the mask, where what is generated is
    opaque. An empty mask gives the picture back. Raises MaskRatioError.
    """
    hole = grow(fit_mask(mask, picture.width, picture.height), mask_type)
    if not hole.any():
        return [picture] * len(seeds)
    with models.use(GENERATIVE_FILL) as model:
        work = cut(picture.rgb, hole, model.sizes)
        made = model.fill_by_prompt(work.rgb, work.hole, prompt, negative_prompt, seeds)
    alpha = None
    if picture.alpha is not None:
        alpha = np.where(hole, np.uint8(255), picture.alpha)
    return [Picture(paste(picture.rgb, hole, work.window, one), alpha) for one in made]
