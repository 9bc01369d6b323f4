"""What a model is given that works at a size of its own: a part of a picture and its hole, scaled."""

from dataclasses import dataclass

import numpy as np

from imaging.picture import Mask, Rgb, Window
from imaging.resize import SizeRule, resize, working_size
from imaging.windows import around_hole


@dataclass(frozen=True)
class Work:
    """A part of a picture at a model's size; `imaging.compositing.paste` puts what is made of it back.

    rgb: the part, scaled. hole: its hole, scaled; never smaller than the true one. window: where the
    part lies in the picture.
    """

    rgb: Rgb
    hole: Mask
    window: Window


def cut(rgb: Rgb, hole: Mask, sizes: SizeRule, window: Window | None = None) -> Work:
    """Return a picture's part around its hole (or `window`) at the model's size."""
    window = window or around_hole(hole)
    part, part_hole = rgb[window], hole[window]
    size = working_size(part.shape[1], part.shape[0], sizes)
    # Any touch counts: a pixel the model may not change must not be half inside the hole.
    share = resize(part_hole.astype(np.uint8) * np.uint8(255), size)
    return Work(resize(part, size), share > 0, window)
