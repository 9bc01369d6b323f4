"""Turns the colour chunks of a PNG (cICP, sRGB, gAMA, cHRM) into an ICC profile."""

import struct
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from imaging.files.header import Container

Xy = tuple[float, float]
Values = NDArray[np.float64]

_D65: Xy = (0.3127, 0.3290)
_SRGB: tuple[Xy, ...] = (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""White, red, green and blue as CIE x and y."""
_CICP_PRIMARIES: dict[int, tuple[Xy, ...]] = {
    1: _SRGB,
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""ITU-T H.273, table 2."""
_D50_XYZ = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_CURVE_POINTS = 4096
_SRGB_GAMMA = 0.45455
# libpng calls gammas equal that differ by less (PNG_GAMMA_THRESHOLD_FIXED). Most such files mean sRGB.
_GAMMA_TOLERANCE = 0.05
_GAMMAS = (0.1, 10.0)
"""The range of gAMA that can be meant. Others are ignored."""
_SAME_XY = 0.01
_REFERENCE_WHITE = 203.0
"""Luminance of diffuse white in HDR pictures, cd/m2 (ITU-R BT.2408). It becomes white, as all that is brighter."""


def _srgb(x: Values) -> Values:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _pq(x: Values) -> Values:
    """Return light in units of the reference white (SMPTE ST 2084)."""
    root = x ** (32 / 2523)
    light: Values = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(10_000 / _REFERENCE_WHITE * light ** (8192 / 1305))


def _hlg(x: Values) -> Values:
    """Return light in units of the reference white, 75 % of the signal (ITU-R BT.2100, system gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(x <= 0.5, x**2 / 3, (np.exp((x - c) / a) + b) / 12)
    white = (np.exp((0.75 - c) / a) + b) / 12
    return np.asarray((scene / white) ** 1.2)


def _power(exponent: float) -> Callable[[Values], Values]:
    return lambda x: x**exponent


_CICP_TRANSFERS: dict[int, Callable[[Values], Values]] = {
    **dict.fromkeys((1, 6, 14, 15), _power(2.4)),  # as displays show it (ITU-R BT.1886)
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
    13: _srgb,
    16: _pq,
    18: _hlg,
}
"""ITU-T H.273, table 3: light by stored value, both 0..1."""


def profile_of(found: Container) -> bytes | None:
    """Return the ICC profile that tells the colours of a PNG; None if they are sRGB.

    The first of these counts: cICP, an embedded profile, sRGB, gAMA with cHRM (PNG, third edition, 4.3).
    Values that are not defined, or senseless, are ignored. A gAMA of 1/2.2 with the primaries of sRGB
    means sRGB.
    """
    cicp = found.png_colours.get(b"cICP", b"")
    if (
        len(cicp) == 4
        and cicp[0] in _CICP_PRIMARIES
        and cicp[1] in _CICP_TRANSFERS
        and cicp[2:] == b"\0\1"
    ):
        if cicp[:2] == b"\1\x0d":
            return None
        return _profile(found, _CICP_PRIMARIES[cicp[0]], _CICP_TRANSFERS[cicp[1]])
    if found.profile is not None or b"sRGB" in found.png_colours:
        return found.profile
    gamma = _gamma(found.png_colours)
    if gamma is None:
        return None
    primaries = _primaries(found.png_colours)
    if primaries is None and abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE:
        return None
    return _profile(found, primaries or _SRGB, _power(1 / gamma))


def _gamma(chunks: dict[bytes, bytes]) -> float | None:
    """Return the exponent in gAMA; None if there is none that can be meant."""
    if b"gAMA" not in chunks:
        return None
    gamma = float(struct.unpack(">I", chunks[b"gAMA"])[0]) / 100_000
    return gamma if _GAMMAS[0] <= gamma <= _GAMMAS[1] else None


def _primaries(chunks: dict[bytes, bytes]) -> tuple[Xy, ...] | None:
    """Return the white and the primaries in cHRM; None if there are none, or if they are those of sRGB."""
    if b"cHRM" not in chunks:
        return None
    numbers = [number / 100_000 for number in struct.unpack(">8I", chunks[b"cHRM"])]
    found = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if np.abs(np.subtract(found, _SRGB)).max() <= _SAME_XY:
        return None
    is_possible = all(0 <= x <= 1 and 0 < y <= 1 and x + y <= 1 for x, y in found)
    return found if is_possible and _adapted(found) is not None else None


def _xyz(colours: Sequence[Xy]) -> Values:
    """Return CIE X, Y and Z of colours with Y = 1, one column for each."""
    return np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in colours]).T


def _adapted(colours: Sequence[Xy]) -> Values | None:
    """Return the primaries as XYZ under D50 (Bradford), one column for each; None if they make no white."""
    white, columns = _xyz(colours[:1]), _xyz(colours[1:])
    try:
        columns = columns * np.linalg.solve(columns, white).T
    except np.linalg.LinAlgError:
        return None
    with np.errstate(all="ignore"):  # a white that no eye sees
        scale = (_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white)[:, 0]
        adapted: Values = np.linalg.solve(_BRADFORD, scale[:, None] * (_BRADFORD @ columns))
    return adapted if (columns.sum(0) > 0).all() and np.abs(adapted).max() < 2 else None


def _profile(found: Container, primaries: Sequence[Xy], curve: Callable[[Values], Values]) -> bytes:
    """Return an ICC profile (ICC.1:2022, matrix and curves, or a curve for grey)."""
    light = curve(np.linspace(0, 1, _CURVE_POINTS)).clip(0, 1)
    table = np.round(light * 65535).astype(">u2").tobytes()
    trc = b"curv\0\0\0\0" + struct.pack(">I", _CURVE_POINTS) + table
    white = b"XYZ \0\0\0\0" + _fixed(_D50_XYZ)
    if found.mode in ("1", "L", "LA", "I;16"):
        return _file(b"GRAY", {b"wtpt": white, b"kTRC": trc})
    columns = _adapted(primaries)
    if columns is None:
        raise ValueError("colours without a white")
    tags = {b"wtpt": white}
    for letter, column in zip("rgb", columns.T, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + _fixed(column)
        tags[f"{letter}TRC".encode()] = trc
    return _file(b"RGB ", tags)


def _fixed(numbers: Values) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))


def _file(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return a profile of a display with its header and tag table."""
    table, bodies = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = start + len(bodies)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    header = header.ljust(68, b"\0") + _fixed(_D50_XYZ)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies
