"""Background blur: the subject stays sharp, the background is blurred like behind a lens."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.compositing import over, visible_share
from imaging.foreground import estimate_foreground, gather, spread
from imaging.ground_focus import Defocus, ground_defocus
from imaging.masks import bounds
from imaging.picture import Alpha8, Picture, Rgb, Window
from imaging.resize import resize
from models.roles import Models
from pipelines.common.subject import has_cut_out, subject_alpha, without_alpha

_RADII = (0.004, 0.008, 0.014, 0.022, 0.034)
"""Radius of the blur disc at each strength, as a share of the picture's diagonal."""
_MAX_DISC_RADIUS = 8
"""Largest radius of the disc in pixels; for a larger blur the picture is reduced first."""
_GUARD_SIDE = 5
"""Side of the square by which the subject is grown: colours this close may be mixed with its own."""
_LEVELS = (0.5, 0.25)
"""Radii of the weaker blurs of the ground, as shares of the full one, each half of the one before."""
_STRIP = 512
"""Rows of the picture whose ground is blurred at once."""
_SPREAD = 8
"""Margin, in pixels of the reduced picture, in which the colours behind the subject are found."""
_GAMMA = 2.2
"""Exponent that approximates the sRGB transfer curve."""


def background_blur(
    picture: Picture, models: Models, scale: int = 5, force_rmbg: bool = False
) -> Picture:
    """Return the picture with its background blurred.

    scale: 1 (slight) to 5 (strong). The ground on which a subject stands is sharp at its foot and more
    and more blurred behind and before it (`imaging.ground_focus`). Where the subject is fully opaque,
    its pixels do not change, and none of its colour spreads into the background. The alpha channel
    does not change. A picture whose alpha cuts out its subject has no background to blur and is
    returned unchanged; one without a subject is all background. force_rmbg: find the subject by
    matting the colours alone, and blur them, also where the alpha channel hides them.

    Raises ValueError if `scale` is not 1..5.
    """
    if not 1 <= scale <= len(_RADII):
        raise ValueError(f"scale is {scale}, must be 1 to {len(_RADII)}")
    source = without_alpha(picture) if force_rmbg else picture
    if has_cut_out(source):
        return picture
    share = visible_share(subject_alpha(source, models), source.alpha)
    radius = _RADII[scale - 1] * float(np.hypot(picture.width, picture.height))
    foreign = _not_background(share, source.alpha)
    background = _lens_blur(source.rgb, foreign, radius)
    defocus = ground_defocus(share)
    if defocus is not None:
        _focus_ground(background, source.rgb, foreign, defocus, radius)
    blurred = over(estimate_foreground(source.rgb, share), share, background)
    if defocus is not None:
        _keep_sharp(blurred, source.rgb, defocus)
    return Picture(blurred, picture.alpha)


def _focus_ground(
    background: Rgb, rgb: Rgb, foreign: Alpha8, defocus: Defocus, radius: float
) -> None:
    """Lessen the blur of `background` where `defocus` is below 255, to the least level but not to none.

    Each pixel is blended of the two levels of blur around its own.
    """
    for level in _LEVELS:
        for part in _strips(defocus, 2 * level):
            less = _blurred_part(rgb, foreign, part, level * radius)
            weight = np.asarray(cv2.LUT(defocus[part], _ramp(level, 2 * level)), np.uint8)
            background[part] = over(less, weight, background[part])


def _keep_sharp(blurred: Rgb, rgb: Rgb, defocus: Defocus) -> None:
    """Blend the picture itself into `blurred` where the ground is in focus.

    Subject and ground are blended in as they are, so that no halo appears between them.
    """
    for part in _strips(defocus, _LEVELS[-1]):
        weight = np.asarray(cv2.LUT(defocus[part], _ramp(0, _LEVELS[-1])), np.uint8)
        blurred[part] = over(rgb[part], weight, blurred[part])


def _strips(defocus: Defocus, below: float) -> Iterator[Window]:
    """Yield strips of rows that hold every pixel whose defocus is below a share of 255, tightly."""
    for top in range(0, defocus.shape[0], _STRIP):
        box = bounds(defocus[top : top + _STRIP] < below * 255)
        if box is not None:
            rows, columns = box
            yield slice(top + rows.start, top + rows.stop), columns


def _ramp(low: float, high: float) -> NDArray[np.uint8]:
    """Return, for each defocus of 0..255, 255 up to the share `low`, falling to 0 at the share `high`."""
    share = np.arange(256) / 255
    return np.rint(255 * np.clip((high - share) / (high - low), 0, 1)).astype(np.uint8)


def _blurred_part(rgb: Rgb, foreign: Alpha8, part: Window, radius: float) -> Rgb:
    """Return a part of the picture blurred as the whole picture would be."""
    step = _step(radius)
    margin = step * (int(np.ceil(radius / step)) + _SPREAD)
    rows, columns = (
        slice(max(0, (side.start - margin) // step * step), min(length, side.stop + margin))
        for side, length in zip(part, foreign.shape, strict=True)
    )
    made = _lens_blur(rgb[rows, columns], foreign[rows, columns], radius)
    top, left = part[0].start - rows.start, part[1].start - columns.start
    return made[top:, left:][: part[0].stop - part[0].start, : part[1].stop - part[1].start]


def _not_background(share: Alpha8, own: Alpha8 | None) -> Alpha8:
    """Return how much of each pixel is not background: 0 nothing, 255 all."""
    foreign = share if own is None else np.maximum(share, 255 - own)
    return np.asarray(cv2.dilate(foreign, np.ones((_GUARD_SIDE, _GUARD_SIDE), np.uint8)), np.uint8)


def _lens_blur(rgb: Rgb, foreign: Alpha8, radius: float) -> Rgb:
    """Blur with a disc of `radius` pixels and ignore the colours that `foreign` (0..255) marks."""
    height, width = foreign.shape
    step = _step(radius)
    gathered = gather(rgb, 255 - foreign, (min(step, height), min(step, width)))
    # The area behind the subject takes the colours around it.
    scene = gathered[..., :3] + (1 - gathered[..., 3:]) * spread(gathered)
    # Blurred in linear light, so that bright spots become discs as in a lens.
    linear = (np.clip(scene, 0, 255) / 255) ** np.float32(_GAMMA)
    blurred = cv2.filter2D(linear, -1, _disc(radius / step), borderType=cv2.BORDER_REFLECT)
    encoded = np.clip(blurred, 0, 1) ** np.float32(1 / _GAMMA)
    reduced = np.rint(encoded * 255).astype(np.uint8)
    size = (reduced.shape[1] * min(step, width), reduced.shape[0] * min(step, height))
    return np.ascontiguousarray(resize(reduced, size, cv2.INTER_CUBIC)[:height, :width])


def _step(radius: float) -> int:
    """Return by how much the picture is reduced before it is blurred with a disc of `radius` pixels."""
    return max(1, int(np.ceil(radius / _MAX_DISC_RADIUS)))


def _disc(radius: float) -> NDArray[np.float32]:
    """Return a disc of `radius` pixels with a smooth edge as a filter kernel; its sum is 1."""
    reach = int(np.ceil(radius))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum(), np.float32)
