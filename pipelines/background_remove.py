"""Background removal: cut out the subject with a soft, clean edge."""

from imaging.compositing import cut_out
from imaging.picture import Picture
from models.roles import Models
from pipelines.common.subject import subject_matte


def background_remove(picture: Picture, models: Models) -> Picture:
    """Return the subject alone, at the picture's size, its colours free of the old background.

    If the picture has an alpha channel, no pixel of the result is more opaque than that. A picture
    without a subject becomes fully transparent.
    """
    return cut_out(picture, subject_matte(picture, models))
