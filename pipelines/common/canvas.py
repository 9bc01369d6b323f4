"""Prepare the input of a model that works at a size of its own: a scaled part of a picture."""

from dataclasses import dataclass

import numpy as np

from imaging.picture import Mask, Rgb, Window
from imaging.resize import SizeRule, resize, working_size
from imaging.windows import around_hole


@dataclass(frozen=True)
class ModelInput:
    """A part of a picture at a model's size; `imaging.compositing.paste` puts the result back.

    rgb: the scaled part, height x width x 3, uint8. hole: the scaled hole, height x width, True is
    to be generated; it covers at least the original hole. window: rows and columns of the part in
    the picture.
    """

    rgb: Rgb
    hole: Mask
    window: Window


def prepare_input(
    rgb: Rgb, hole: Mask, sizes: SizeRule, window: Window | None = None
) -> ModelInput:
    """Return the part of a picture around its hole, or `window` of it, at the model's size.

    rgb: height x width x 3, uint8. hole: height x width, True is to be generated.
    """
    window = window or around_hole(hole)
    part, part_hole = rgb[window], hole[window]
    size = working_size(part.shape[1], part.shape[0], sizes)
    # A scaled pixel belongs to the hole if it covers any part of it: the pixels outside must show
    # only what the model has to keep.
    coverage = resize(part_hole.astype(np.uint8) * np.uint8(255), size)
    return ModelInput(resize(part, size), coverage > 0, window)
