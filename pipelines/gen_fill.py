"""Generative fill: generate what a prompt describes in the area that a mask marks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imaging.compositing import paste
from imaging.masks import MaskKind, fit_mask, grow
from imaging.picture import Mask, Picture, Rgb
from models.roles import CAPTIONING, GENERATIVE_FILL, PROMPT_REFINEMENT, Models
from pipelines.common.canvas import prepare_input
from pipelines.common.opacity import opaque
from pipelines.common.prompts import Generated, refined


def gen_fill(
    picture: Picture,
    mask: NDArray[np.uint8],
    models: Models,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    mask_type: MaskKind = "manual",
    over_white: bool = False,
) -> list[Picture]:
    """Return one picture for each seed.

    mask: height x width, uint8, above 127 is generated; any size with the picture's aspect ratio.
    mask_type: an "automatic" mask is grown. Pixels outside the (grown) mask do not change; inside
    it the result is opaque. With an empty mask the results are `picture` itself.
    over_white: the model sees the picture over white, and the seam is blended into that, so that no
    colour that an alpha hides appears. Otherwise both take the colours as they are stored, which is
    what version 1 has always answered. Raises MaskRatioError.
    """
    hole = grow(fit_mask(mask, picture.width, picture.height), mask_type)
    if not hole.any():
        return [picture] * len(seeds)
    rgb = opaque(picture).rgb if over_white else picture.rgb
    with models.use(GENERATIVE_FILL) as model:
        model_input = prepare_input(rgb, hole, model.sizes)
        generated = model.fill_by_prompt(
            model_input.rgb, model_input.hole, prompt, negative_prompt, seeds
        )
    alpha = None
    if picture.alpha is not None:
        alpha = np.where(hole, np.uint8(255), picture.alpha)
    filled = (paste(rgb, hole, model_input.window, pixels) for pixels in generated)
    return [Picture(_inside(hole, made, picture.rgb), alpha) for made in filled]


def _inside(hole: Mask, made: Rgb, rgb: Rgb) -> Rgb:
    """Return `made` in a hole, and `rgb` outside it."""
    return np.where(hole[..., None], made, rgb)


def gen_fill_refined(
    picture: Picture,
    mask: NDArray[np.uint8],
    models: Models,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    mask_type: MaskKind = "manual",
    over_white: bool = False,
) -> Generated:
    """Return the pictures of `gen_fill` with a refined prompt, and that prompt.

    The refinement knows what is in the picture if the profile has a captioning model. Without a model for
    it, or with an empty mask, the prompt is not refined. The arguments and errors are those of `gen_fill`.
    """
    hole = fit_mask(mask, picture.width, picture.height)
    seen = opaque(picture) if over_white else picture
    refined_prompt = refined(prompt, models, _caption(seen, models)) if hole.any() else None
    final = refined_prompt or prompt
    pictures = gen_fill(picture, mask, models, final, negative_prompt, seeds, mask_type, over_white)
    return Generated(pictures, final, refined_prompt)


def _caption(picture: Picture, models: Models) -> str:
    """Return what is in a picture; empty if no model can say it or none will be asked to refine."""
    if not (models.offers(CAPTIONING) and models.offers(PROMPT_REFINEMENT)):
        return ""
    with models.use(CAPTIONING) as captioning:
        return captioning.caption(picture.rgb)
