"""Super-resolution: enlarge a picture together with its alpha channel."""

from imaging.picture import Picture
from models.roles import SUPER_RESOLUTION, Models
from pipelines.common.enlarging import colours_to_enlarge, enlarge_alpha


def image_increase_resolution(
    picture: Picture, models: Models, desired_increase: int = 2
) -> Picture:
    """Return `picture` at `desired_increase` (2 or 4) times its width and height, alpha included.

    The blocks of strong JPEG compression are removed before (`imaging.jpeg_blocks`). The colours of fully
    transparent pixels do not influence visible pixels.
    Raises ValueError for any other factor.
    """
    rgb = colours_to_enlarge(picture)
    with models.use(SUPER_RESOLUTION) as model:
        enlarged = model.upscale(rgb, desired_increase)
    size = (picture.width * desired_increase, picture.height * desired_increase)
    return Picture(enlarged, enlarge_alpha(picture.alpha, size))
