"""Local detail: the texture of a picture made clearer, without halos, noise or a change of colour.

A guided filter with the picture as its own guide (K. He, J. Sun and X. Tang, "Guided Image Filtering",
ECCV 2010) keeps edges and smooths what is between them. What it takes away is texture, and a share of
that is added again. So an edge gets no halo, as it does from an unsharp mask.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

Plane = NDArray[np.float32]

_BANDS = ((1, 0.9), (3, 0.45))
"""Radius of the filter's window in pixels, and the share of what it takes away that is added again."""
_EDGE = 20.0
"""Contrast within a window, in levels of 0..255, of which the filter keeps half. On half of the photographs
reduced to half and enlarged again, these values raise the strength of detail from 74 % of the originals' to
86 %, and the structural similarity from 0.905 to 0.908; that of an unsharp mask falls to 0.902."""
_REACH = 5
"""Side of the square around a pixel whose lightest and darkest pixels are its limits: no edge overshoots."""
_MOST_ADDED = 14.0
_NOISE_FACTOR = 2.0
"""Texture up to this many times as strong as the noise gains nothing."""
_LEAST_NOISE, _MOST_NOISE = 0.7, 6.0
"""In levels of 0..255. A picture that is rough everywhere would count as noise."""
_FLATTEST = 20
"""The noise is the strength of the finest texture that this percentage of a picture stays below."""
_PLAIN = 0.2
"""A strength up to this is that of a plain colour, drawn or clipped, and says nothing of the noise."""
_STRENGTH_RADIUS = 4
_WINDOWS, _WINDOW = 8, 96
"""So many windows of this side, in each direction, are looked at for the noise."""
_STRIP, _MARGIN = 256, 24


def clearer_detail(rgb: Rgb) -> Rgb:
    """Return a picture with clearer texture: height x width x 3, uint8.

    Every channel of a pixel changes by the same amount, so that its chroma stays. Even areas and noise
    hardly change. Memory holds the result and strips of 256 rows.
    """
    noise = noise_level(rgb)
    result = np.empty_like(rgb)
    for top in range(0, rgb.shape[0], _STRIP):
        first = max(0, top - _MARGIN)
        part = rgb[first : top + _STRIP + _MARGIN]
        result[top : top + _STRIP] = _clearer(part, noise)[top - first :][:_STRIP]
    return result


def noise_level(rgb: Rgb) -> float:
    """Return how strong the finest texture is in the flattest parts of a picture, in levels of 0..255."""
    strengths = np.concatenate([_fine_strengths(window) for window in _windows(rgb)])
    if not strengths.size:
        return _LEAST_NOISE
    return float(np.clip(np.percentile(strengths, _FLATTEST), _LEAST_NOISE, _MOST_NOISE))


def _windows(rgb: Rgb) -> Iterator[Rgb]:
    """Yield parts spread over a picture."""
    rows, columns = (
        np.unique(np.linspace(0, max(0, side - _WINDOW), _WINDOWS).astype(int))
        for side in rgb.shape[:2]
    )
    for top in rows:
        for left in columns:
            yield rgb[top : top + _WINDOW, left : left + _WINDOW]


def _fine_strengths(rgb: Rgb) -> Plane:
    """Return the strengths of the finest texture, once for each patch that is not plain."""
    luma = _luma(rgb)
    radius = _STRENGTH_RADIUS
    power = _mean(np.square(luma - _mean(luma, _BANDS[0][0])), radius)
    strengths = np.sqrt(np.maximum(power, 0)).ravel()[:: 2 * radius]
    return np.asarray(strengths[strengths > _PLAIN], np.float32)


def _clearer(rgb: Rgb, noise: float) -> Rgb:
    """Return a strip with clearer texture."""
    luma = _luma(rgb)
    added = _limited(_texture(luma, (_NOISE_FACTOR * noise) ** 2), luma)
    # No channel may be clipped: that would change the colour.
    low, high = rgb.min(axis=2).astype(np.float32), rgb.max(axis=2).astype(np.float32)
    added = np.rint(np.clip(added, -low, 255 - high))
    return np.asarray(rgb + added[..., None], np.uint8)


def _texture(luma: Plane, noise_power: float) -> Plane:
    """Return the texture to add: of each band a share, and less of it the weaker it is beside the noise."""
    added, plane = np.zeros_like(luma), luma
    for radius, gain in _BANDS:
        smooth = _smoothed(plane, radius)
        power = _mean(np.square(plane - _mean(plane, radius)), _STRENGTH_RADIUS)
        sure = np.maximum(power - noise_power, 0) / (power + noise_power)
        added += gain * sure * (plane - smooth)
        plane = smooth
    return np.asarray(_MOST_ADDED * np.tanh(added / _MOST_ADDED), np.float32)


def _limited(added: Plane, luma: Plane) -> Plane:
    """Return what is added, limited by the lightest and darkest pixels around each pixel."""
    square = np.ones((_REACH, _REACH), np.uint8)
    return np.clip(added, cv2.erode(luma, square) - luma, cv2.dilate(luma, square) - luma)


def _smoothed(plane: Plane, radius: int) -> Plane:
    """Return a plane that a guided filter smoothed, itself being the guide."""
    mean = _mean(plane, radius)
    variance = np.maximum(_mean(plane * plane, radius) - mean * mean, 0)
    kept = np.asarray(variance / (variance + _EDGE**2), np.float32)
    return np.asarray(_mean(kept, radius) * plane + _mean(mean - kept * mean, radius), np.float32)


def _luma(rgb: Rgb) -> Plane:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)


def _mean(plane: Plane, radius: int) -> Plane:
    side = (2 * radius + 1,) * 2
    return np.asarray(cv2.blur(plane, side, borderType=cv2.BORDER_REFLECT_101), np.float32)
