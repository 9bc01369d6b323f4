"""Product cutout: the product alone, cropped tightly to it."""

from imaging.picture import Picture
from models.roles import Models
from pipelines.common.subject import has_product_cut_out
from pipelines.crop import crop


def product_cutout(
    picture: Picture, models: Models, force_rmbg: bool = False, preserve_alpha: bool = True
) -> Picture:
    """Return the product alone in its bounding box; specks of the matte do not widen it.

    A picture whose own alpha cuts out its product is cropped to that, otherwise to a matte.
    force_rmbg: ignore an alpha channel, and find the product in the colours alone. preserve_alpha: False
    makes opaque what is partly transparent in the picture (`common.opacity.solid`).

    Raises NoForegroundError if the picture has no product.
    """
    return crop(
        picture,
        models,
        0,
        force_rmbg,
        None if preserve_alpha else False,
        has_product_cut_out,
    )
