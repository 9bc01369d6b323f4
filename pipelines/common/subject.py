"""Find the subject of a picture: by its own alpha if that cuts it out, else by matting."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import flatten
from imaging.even_background import matte_on_even_background
from imaging.foreground import estimate_foreground
from imaging.masks import bounds
from imaging.picture import Alpha8, Mask, Picture, Rgb
from models.roles import MATTING, Models, Role
from pipelines.errors import NoForegroundError

FAINT = 12
"""An alpha up to this is noise: 5 % opacity, which nobody sees."""
_HALF = 128
"""A matte that nowhere reaches this has found no subject, only wisps of doubt."""
_RIM = 0.01
"""Share of each side along the border, and at least two pixels, in which alpha says nothing of a subject."""
_GREY = 128
"""The colour that the model sees where nothing is: on white it loses pale subjects, on black dark ones."""
_SAMPLES = 100_000
"""So many hidden pixels say whether they show anything."""
_SAME = 2.0
"""Levels of 0..255. Colours beneath an alpha that differ less, on average, from one colour or from
what continues the visible part show nothing. Measured: 0.2 in our cut-outs, 48 to 94 in photographs."""
_LEAST_BOX = 0.6
"""A margin is left out if the box inside it has at least this share of a picture."""
_LEAST_HIDDEN = 0.02
"""An alpha that hides a smaller share of a picture cuts nothing out: rounded corners, a few pixels."""
_MOST_IN_CORNERS = 0.1
"""Corners that hide up to this share, all four alike, are a frame, such as large round corners or a vignette."""
_SHOWN = 8
"""Factor on an alpha that cuts nothing out, before the matting model sees the picture."""
_CORNER_DIFFERENCE = 0.5
"""Pixels that differ between a frame and its mirror image, as a share of its hidden pixels; 2 if all do."""


def has_cut_out(picture: Picture) -> bool:
    """Whether the picture's own alpha marks its subject; an alpha that hides next to nothing does not.

    A pixel is hidden if it has less than half of the picture's highest alpha. An even margin around all
    that is visible does not count, if its box is at least 60 % of the picture. Nothing is cut out if less than
    2 % of the other pixels are hidden, or if up to 10 % are and these are four corners alike or the
    triangles around a straightened photograph. A picture that is completely transparent has no
    subject, so its alpha is right.
    docs/decisions/0015-which-alpha-is-a-cut-out.md has the measurements.
    """
    if picture.alpha is None:
        return False
    highest = int(picture.alpha.max())
    if highest == 0:
        return True
    hidden = _without_rim(_without_margin(picture.alpha < (highest + 1) // 2))
    share = hidden.mean()
    return bool(share >= _LEAST_HIDDEN and (share > _MOST_IN_CORNERS or not _is_frame(hidden)))


def has_product_cut_out(picture: Picture) -> bool:
    """Whether the picture's own alpha marks its product: `has_cut_out`, and cut-outs of boxes with round corners.

    A tight cut-out of a wallet or a telephone hides its four corners alike, as a photograph with round corners
    does. It is a cut-out if the colours beneath only continue what is visible, as in every cut-out that this
    program makes; in photographs they are what was there.
    """
    if has_cut_out(picture):
        return True
    alpha = picture.alpha
    if alpha is None or alpha.min() > 0:
        return False
    beneath, expected = _hidden_colours(picture.rgb, alpha)
    return _difference(beneath, expected) < _SAME


def without_alpha(picture: Picture) -> Picture:
    """Return a picture as `force_rmbg` takes it: opaque, with the colours that its alpha hides.

    Where these show nothing, because they are one colour or only continue what is visible, as in
    every cut-out that this program makes, mid-grey replaces them: they are no part of a photograph.
    """
    alpha = picture.alpha
    if alpha is None or alpha.min() > 0 or not alpha.any():
        return Picture(picture.rgb)
    beneath, expected = _hidden_colours(picture.rgb, alpha)
    if min(_difference(beneath, other) for other in (expected, np.median(beneath, 0))) < _SAME:
        return Picture(flatten(picture.rgb, alpha, _GREY))
    return Picture(picture.rgb)


def _hidden_colours(rgb: Rgb, alpha: Alpha8) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the colours of some hidden pixels, n x 3, and what they were if they continued the visible ones."""
    hidden = np.flatnonzero(alpha == 0)
    sample = hidden[:: -(-hidden.size // _SAMPLES)]
    continued = estimate_foreground(rgb, alpha)
    beneath, expected = (pixels.reshape(-1, 3)[sample].astype(int) for pixels in (rgb, continued))
    return beneath, expected


def _difference(colours: NDArray[Any], others: NDArray[Any]) -> float:
    """Return how much colours differ on average, in levels of 0..255."""
    return float(np.abs(colours - others).mean())


def subject_roles(
    picture: Picture, force_rmbg: bool = False, is_cut_out: Callable[[Picture], bool] = has_cut_out
) -> tuple[Role[Any], ...]:
    """Return the roles that the subject of a picture needs: none if the picture is cut out already."""
    return () if not force_rmbg and is_cut_out(picture) else (MATTING,)


def subject_alpha(
    picture: Picture, models: Models, is_cut_out: Callable[[Picture], bool] = has_cut_out
) -> Alpha8:
    """Return the subject's opacity, height x width, uint8 0..255, at most the picture's own alpha.

    It is the picture's own alpha if that cuts out the subject, else `subject_matte`. is_cut_out: whether it
    does; `has_product_cut_out` for products.
    """
    if picture.alpha is not None and is_cut_out(picture):
        return picture.alpha
    return subject_matte(picture, models)


def subject_matte(picture: Picture, models: Models) -> Alpha8:
    """Return the subject's opacity as the matting model finds it in the visible part of the picture.

    It is height x width, uint8, 0..255, and at most the picture's own alpha. Where the model finds
    nothing that is at least half opaque, the subject is what stands out from an even background, such
    as a white thing on white. Without that too, the picture has no subject and all of it is 0.
    """
    own = picture.alpha
    # Faded parts keep their colours for the model: in a vignette it would lose the subject's rim.
    visible = picture.rgb if own is None else flatten(picture.rgb, _shown(own), _GREY)
    with models.use(MATTING) as matting:
        alpha = matting.matte(visible)
    if alpha.max() < _HALF:
        even = matte_on_even_background(visible)
        if even is None:
            return np.zeros(visible.shape[:2], np.uint8)
        alpha = even
    return alpha if own is None else np.minimum(alpha, own)


def required(alpha: Alpha8) -> Alpha8:
    """Return a subject's opacity unchanged; raises NoForegroundError if nothing of it can be seen."""
    if alpha.max() <= FAINT:
        raise NoForegroundError
    return alpha


def subject_share(picture: Picture, models: Models) -> Alpha8:
    """Return `subject_alpha` as a share of the picture's highest alpha, 0..255."""
    alpha = subject_alpha(picture, models)
    return alpha if picture.alpha is None else _stretched(alpha, picture.alpha)


def _stretched(alpha: Alpha8, own: Alpha8) -> Alpha8:
    """Return `alpha` multiplied so that the highest alpha of the picture, `own`, becomes 255."""
    highest = int(own.max())
    if highest in (0, 255):
        return alpha
    levels = np.minimum(np.rint(np.arange(256) * (255 / highest)), 255).astype(np.uint8)
    return np.asarray(cv2.LUT(alpha, levels), np.uint8)


def _shown(own: Alpha8) -> Alpha8:
    """Return how much of its own colour each pixel shows the model: all from an eighth of the highest alpha."""
    return np.asarray(cv2.convertScaleAbs(_stretched(own, own), alpha=_SHOWN), np.uint8)


def _without_margin(hidden: Mask) -> Mask:
    """Return the bounding box of what is not hidden: without a plain margin or a feathered frame.

    Nothing is left out if the box has less than 60 % of the pixels, or is not in the middle: then it
    is a thing on a canvas.
    """
    box = bounds(~hidden)
    if box is None or hidden[box].size < _LEAST_BOX * hidden.size:
        return hidden
    for part, side in zip(box, hidden.shape, strict=True):
        if abs(part.start - (side - part.stop)) > max(2, _RIM * side):
            return hidden
    return hidden[box]


def _without_rim(hidden: Mask) -> Mask:
    """Return a mask without a narrow rim, in which borders, feathers and rounding leave gaps."""
    rows, columns = (min(max(2, round(_RIM * side)), (side - 1) // 2) for side in hidden.shape)
    height, width = hidden.shape
    return hidden[rows : height - rows, columns : width - columns]


def _is_frame(hidden: Mask) -> bool:
    """Whether the hidden pixels are four corners alike, or the triangles around a straightened photograph."""
    sides = (hidden[0], hidden[-1], hidden[:, 0], hidden[:, -1])
    up_down, left_right, turned = (
        np.count_nonzero(hidden ^ other)
        for other in (hidden[::-1], hidden[:, ::-1], hidden[::-1, ::-1])
    )
    most = _CORNER_DIFFERENCE * np.count_nonzero(hidden)
    if not any(side[len(side) // 2] for side in sides):
        return bool(min(max(up_down, left_right), turned) <= most)
    # A straightened photograph has long triangles along its sides, alike only if it is turned around.
    return bool(turned <= most < min(up_down, left_right))
