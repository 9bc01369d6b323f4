"""Product shadow: a product above its shadow, transparent or on a colour."""

from dataclasses import dataclass, field

from imaging.compositing import cut_out
from imaging.picture import Picture
from imaging.shadow_layer import canvas_for, with_shadow
from imaging.shadows import ShadowShape, cast_shadow
from models.roles import Models
from pipelines.common.colours import Colour
from pipelines.common.opacity import visible_part
from pipelines.common.subject import has_product_cut_out, required, subject_alpha, without_alpha
from pipelines.errors import CanvasTooLargeError

MAX_AREA = 8192 * 8192
"""Largest result, in pixels: the picture and what the shadow adds to it."""


@dataclass(frozen=True)
class ShadowStyle:
    """How a shadow looks.

    shape: its form. colour: sRGB, 0..255 each. opacity: of its darkest part, 0..1. background: sRGB; None:
    transparent.
    """

    shape: ShadowShape = field(default_factory=ShadowShape)
    colour: Colour = (0, 0, 0)
    opacity: float = 0.6
    background: Colour | None = None


def product_shadow(
    picture: Picture,
    models: Models,
    style: ShadowStyle,
    force_rmbg: bool = False,
    preserve_alpha: bool = True,
) -> Picture:
    """Return the product with a shadow, at the picture's scale.

    The canvas is the picture's; it grows on the sides where the shadow would be cut off. A picture that
    is not cut out is cut out first. Where the product is opaque its pixels do not change.
    force_rmbg, preserve_alpha: as in `product_cutout`.

    Raises NoForegroundError if the picture has no product, CanvasTooLargeError if the result would have more
    than MAX_AREA pixels.
    """
    picture = (
        without_alpha(picture)
        if force_rmbg
        else visible_part(picture, None if preserve_alpha else False)
    )
    alpha = required(subject_alpha(picture, models, has_product_cut_out))
    shadow = cast_shadow(alpha, style.shape)
    canvas = canvas_for((picture.width, picture.height), shadow, style.opacity)
    if canvas.width * canvas.height > MAX_AREA:
        raise CanvasTooLargeError
    product = cut_out(picture, alpha)
    return with_shadow(product, shadow, style.opacity, style.colour, style.background)
