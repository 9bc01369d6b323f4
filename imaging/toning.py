"""Pictures in one tone: grey values as bright as the colours were, and the tones of an old sepia print."""

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Rgb

Grey = NDArray[np.uint8]
"""Height x width, uint8, sRGB."""

_STRIP = 128
"""Rows that are processed at once."""
_STEPS = 1 << 14
"""Steps of linear light in the table that encodes it. The darkest of 255 levels still takes five."""
_WEIGHTS = np.array([[0.2126, 0.7152, 0.0722]], np.float32)
"""Luminance of linear red, green and blue (ITU-R BT.709, the primaries of sRGB)."""


def _to_linear(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear light 0..1 of sRGB values 0..1 (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _to_encoded(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sRGB values 0..1 of linear light 0..1 (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


_LINEAR = _to_linear(np.arange(256) / 255).astype(np.float32)
_ENCODED = np.rint(255 * _to_encoded(np.arange(_STEPS) / (_STEPS - 1))).astype(np.uint8)


def luminance(rgb: Rgb) -> Grey:
    """Return the grey that is as bright as each colour, measured in linear light. Greys stay as they are."""
    grey = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, rgb.shape[0], _STRIP):
        rows = slice(top, top + _STRIP)
        linear = cv2.transform(cv2.LUT(rgb[rows], _LINEAR), _WEIGHTS)
        steps = np.rint(np.clip(linear, 0, 1) * (_STEPS - 1)).astype(np.uint16)
        grey[rows] = _ENCODED[steps.reshape(steps.shape[:2])]
    return grey


_LIGHTNESS = (5.0, 93.5)
"""CIE L* of the deepest brown and of the paper: an old print is never quite black or white."""
_HUES = np.array([[0.0, 5.0, 6.0], [35.0, 9.5, 19.0], [65.0, 8.0, 24.0], [100.0, 1.0, 13.0]])
"""Of a sepia print: L* of the grey, and a* and b* of its tone; values between are interpolated."""


def _sepia_tones() -> NDArray[np.uint8]:
    """Return the colour of each grey: 256 x 3, uint8, sRGB."""
    greys = np.repeat(np.arange(256, dtype=np.float32)[None, :, None] / 255, 3, axis=2)
    lightness = cv2.cvtColor(greys, cv2.COLOR_RGB2LAB)[0, :, 0]
    low, high = _LIGHTNESS
    lab = np.stack(
        [
            low + lightness * ((high - low) / 100),
            np.interp(lightness, _HUES[:, 0], _HUES[:, 1]),
            np.interp(lightness, _HUES[:, 0], _HUES[:, 2]),
        ],
        axis=1,
    )
    rgb = cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_LAB2RGB)[0]
    return np.asarray(np.rint(255 * np.clip(rgb, 0, 1)), np.uint8)


_SEPIA = _sepia_tones()


def sepia(grey: Grey) -> Rgb:
    """Return a grey picture in the tones of an old sepia print: from deep brown to the cream of its paper."""
    return np.asarray(cv2.LUT(cv2.merge([grey] * 3), _SEPIA[None]), np.uint8)
