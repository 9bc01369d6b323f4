"""Enhance a picture: double its size, up to ten megapixels, and make its detail clearer."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from imaging.local_detail import clearer_detail
from imaging.picture import Picture, Rgb
from imaging.resize import Size, resize, scaled, within_area
from models.roles import SUPER_RESOLUTION, Models
from pipelines.common.enlarging import colours_to_enlarge, enlarge_alpha
from pipelines.common.opacity import with_alpha

MAX_PIXELS = 10_000_000
"""Largest result in pixels, unless the picture itself is larger; the published limit."""
RESOLUTIONS: Mapping[str, int] = MappingProxyType(
    {"1MP": 1_000_000, "2MP": 2_000_000, "4MP": 4_000_000}
)
"""Pixels of the result by the API's name."""
_FACTOR, _MOST_ENLARGED = 2, 4
_LEAST_FOR_MODEL = 1.6
"""From this enlargement on, the model's result is nearer to the original than Lanczos, on half of the
photographs: by 0.2 dB at 1.75. At 1.5 it is 0.1 dB farther from it, at 1.1 by 1.2 dB."""


def enhanced_size(width: int, height: int, resolution: str | None = None) -> Size:
    """Return the width and height of an enhanced picture of width x height.

    Without a resolution that is twice the size, or what of it fits into 10,000,000 pixels. resolution: a
    key of RESOLUTIONS; the result has about so many pixels, but is at most four times as wide and high.
    Either way a picture is never reduced, and the aspect ratio stays.
    """
    pixels = width * height
    wanted = MAX_PIXELS if resolution is None else RESOLUTIONS[resolution]
    if pixels >= wanted:
        return width, height
    if resolution is None:
        larger = within_area(_FACTOR * width, _FACTOR * height, wanted)
        return max(width, larger[0]), max(height, larger[1])
    return scaled(width, height, min(_MOST_ENLARGED, math.sqrt(wanted / pixels)))


def enhance(
    picture: Picture,
    models: Models,
    resolution: str | None = None,
    preserve_alpha: bool | None = True,
) -> Picture:
    """Return `picture` at `enhanced_size`, with clearer detail; its colours stay.

    The blocks of strong JPEG compression are removed, the super-resolution model enlarges it, and its
    texture is made clearer (`imaging.local_detail`). There is no chance in this: the same picture gives the
    same result. preserve_alpha: False lays the result over white. Raises KeyError for an unknown resolution.
    """
    size = enhanced_size(picture.width, picture.height, resolution)
    rgb = clearer_detail(_enlarged(colours_to_enlarge(picture), models, size))
    return with_alpha(Picture(rgb, enlarge_alpha(picture.alpha, size)), preserve_alpha)


def _enlarged(rgb: Rgb, models: Models, size: Size) -> Rgb:
    """Return colours at `size`, by the super-resolution model if they become much larger."""
    factor = math.sqrt(size[0] * size[1] / (rgb.shape[0] * rgb.shape[1]))
    if factor < _LEAST_FOR_MODEL:
        return resize(rgb, size)
    with models.use(SUPER_RESOLUTION) as model:
        return resize(model.upscale(rgb, _FACTOR if factor <= _FACTOR else _MOST_ENLARGED), size)
