"""What becomes of the alpha channel of a picture: kept, laid over white, or made solid.

Colours that an alpha hides never appear: callers have removed what is there, and programs store any
colour beneath it. docs/decisions/0018-what-becomes-of-alpha.md says why.
"""

import cv2
import numpy as np

from imaging.compositing import flatten
from imaging.picture import Alpha8, Mask, Picture
from pipelines.common.subject import FAINT
from pipelines.errors import NothingVisibleError, TransparentEdgeError

_WHITE = 255
_RIM = (3, 5)
"""Sides, in pixels, of the squares around hidden pixels in which an edge stays soft."""
_RIM_ALPHA = 128
"""Alpha to which the outer ring of a soft edge is raised, half way from the inner one to what is solid."""
_FULL = 0.25
"""Share of a picture's highest alpha from which a pixel becomes opaque. Below lie the soft ends of hair and
of shadows, which would be blots."""


def with_alpha(picture: Picture, preserve: bool | None) -> Picture:
    """Return a result as it is, or opaque if `preserve` is False. None is the default: as it is."""
    return opaque(picture) if preserve is False else picture


def opaque(picture: Picture) -> Picture:
    """Return a picture laid over white, without an alpha channel.

    Opaque pixels do not change, bit for bit. A picture without an alpha channel is returned itself.
    """
    if picture.alpha is None:
        return picture
    return Picture(flatten(picture.rgb, picture.alpha, _WHITE))


def solid(picture: Picture) -> Picture:
    """Return a picture whose visible parts are opaque, with their own colours.

    A quarter of the highest alpha, or more, becomes 255. What has an alpha up to FAINT stays as
    transparent as it is, and between the two the alpha rises evenly. Beside hidden pixels an edge stays
    soft: one ring of pixels keeps its alpha, and the next is raised to half at most.
    """
    if picture.alpha is None:
        return picture
    raised = np.asarray(cv2.LUT(picture.alpha, _levels(int(picture.alpha.max()))), np.uint8)
    if raised.min() == 255:
        return Picture(picture.rgb)
    most = _softened(picture.alpha <= FAINT)
    return Picture(picture.rgb, np.maximum(picture.alpha, np.minimum(raised, most)))


def _levels(highest: int) -> Alpha8:
    """Return the new alpha of each alpha, 0..255: it rises from FAINT to a quarter of the highest."""
    full = max(FAINT + 1, highest * _FULL)
    share = (np.arange(256) - FAINT) / (full - FAINT)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _softened(hidden: Mask) -> Alpha8:
    """Return the highest alpha that a pixel may be raised to: low in two rings beside hidden pixels."""
    inner, outer = (
        cv2.dilate(hidden.view(np.uint8), np.ones((side,) * 2, np.uint8)) for side in _RIM
    )
    most = np.where(outer > 0, np.uint8(_RIM_ALPHA), np.uint8(255))
    most[inner > 0] = 0
    return most


def visible_part(picture: Picture, preserve: bool | None) -> Picture:
    """Return what is cut out or expanded: the picture itself, or made `solid` if `preserve` is False."""
    return solid(picture) if preserve is False else picture


def hidden_parts(alpha: Alpha8) -> Mask:
    """Return where an alpha hides the colours: up to FAINT, or only at 0 if it is nowhere above FAINT."""
    faint: Mask = alpha <= FAINT
    return alpha == 0 if faint.all() else faint


def check_visible(picture: Picture) -> None:
    """Raise NothingVisibleError if every pixel of a picture is fully transparent."""
    if picture.alpha is not None and not picture.alpha.any():
        raise NothingVisibleError


def check_edges(picture: Picture) -> None:
    """Raise TransparentEdgeError if a pixel along an edge of a picture is fully transparent."""
    alpha = picture.alpha
    if alpha is None:
        return
    edges = {"top": alpha[0], "bottom": alpha[-1], "left": alpha[:, 0], "right": alpha[:, -1]}
    found = [name for name, pixels in edges.items() if not pixels.all()]
    if found:
        raise TransparentEdgeError(
            f"the image has fully transparent pixels along its {found[0]} edge"
        )
