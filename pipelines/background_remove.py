"""Background removal: cut out the subject with a soft, clean edge."""

from imaging.compositing import cut_out
from imaging.picture import Picture
from models.roles import Models
from pipelines.common.opacity import visible_part
from pipelines.common.subject import required, subject_matte


def background_remove(
    picture: Picture, models: Models, preserve_alpha: bool | None = None
) -> Picture:
    """Return the subject alone, at the picture's size, its colours free of the old background.

    If the picture has an alpha channel, no pixel of the result is more opaque than that, unless
    preserve_alpha is False: then only the matte makes it transparent, and what the picture hides. A
    picture without a subject is an error, because a wholly transparent picture helps nobody.

    Raises NoForegroundError.
    """
    picture = visible_part(picture, preserve_alpha)
    return cut_out(picture, required(subject_matte(picture, models)))
