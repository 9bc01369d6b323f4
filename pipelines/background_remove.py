"""Background removal: the subject cut out with a soft, clean edge."""

from imaging.compositing import cut_out
from imaging.picture import Picture
from models.roles import Models
from pipelines.common.subject import subject_alpha


def background_remove(picture: Picture, models: Models) -> Picture:
    """Return the subject alone, at the picture's size, its colours free of the old background's.

    Where the picture brings its own alpha, the result is nowhere more opaque than it. A picture
    without a subject becomes transparent throughout.
    """
    return cut_out(picture, subject_alpha(picture, models, force_rmbg=True))
