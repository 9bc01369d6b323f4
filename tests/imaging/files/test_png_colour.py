"""The colour chunks of PNG files: which one counts, and what it does to the pixels."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging.files.decode import decode
from imaging.files.mask import decode_mask

Chunk = tuple[bytes, bytes]
LEVELS = np.arange(256, dtype=np.uint8)
RAMP = np.stack([LEVELS, LEVELS[::-1], np.full(256, 90, np.uint8)], 1)[None]
WHITE, RED, GREEN, BLUE = (0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)
DISPLAY_P3_TO_SRGB = np.array(
    [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]
)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels: NDArray[Any], *chunks: Chunk, colour: int = 2) -> bytes:
    """Return a PNG of one row, 8 or 16 bits."""
    width, depth = pixels.shape[1], 8 * pixels.itemsize
    row = b"\0" + pixels.astype(f">u{pixels.itemsize}").tobytes()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def gamma(exponent: float) -> Chunk:
    return b"gAMA", struct.pack(">I", round(exponent * 100_000))


def primaries(*colours: tuple[float, float]) -> Chunk:
    numbers = [round(100_000 * number) for colour in colours for number in colour]
    return b"cHRM", struct.pack(">8I", *numbers)


P3 = primaries(WHITE, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
SRGB = primaries(WHITE, RED, GREEN, BLUE)


def code_points(*numbers: int) -> Chunk:
    return b"cICP", bytes(numbers)


def stored_as_srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear light, 0..1, as sRGB, 0..255."""
    light = light.clip(0, 1)
    return np.asarray(
        255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    )


def largest_difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).max())


@pytest.mark.parametrize("exponent", [1.0, 0.55556, 0.3])
@pytest.mark.parametrize("more", [[], [SRGB]])
def test_gamma_is_converted_to_srgb(exponent: float, more: list[Chunk]) -> None:
    right = stored_as_srgb((RAMP / 255) ** (1 / exponent))
    assert largest_difference(decode(png(RAMP, gamma(exponent), *more)).rgb, right) <= 1
    assert largest_difference(RAMP, right) > 15


def test_every_kind_of_picture_is_converted() -> None:
    right = stored_as_srgb(LEVELS[None] / 255)
    for pixels in (LEVELS[None], LEVELS[None].astype(np.uint16) * 257):
        grey = decode(png(pixels, gamma(1), colour=0)).rgb
        assert largest_difference(grey, right[..., None]) <= 1
    palette = (b"PLTE", np.repeat(LEVELS, 3).tobytes())
    indexed = decode(png(LEVELS[None], gamma(1), palette, colour=3)).rgb
    assert largest_difference(indexed, right[..., None]) <= 1
    deep = decode(png(RAMP.astype(np.uint16) * 257, gamma(1))).rgb
    assert largest_difference(deep, stored_as_srgb(RAMP / 255)) <= 1
    rgba = np.dstack([RAMP, LEVELS[None]])
    picture = decode(png(rgba, gamma(1), colour=6))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha[0], LEVELS)
    assert largest_difference(picture.rgb, stored_as_srgb(RAMP / 255)) <= 1


@pytest.mark.parametrize("chunks", [[gamma(1 / 2.2), P3], [code_points(12, 4, 0, 1)]])
def test_a_wide_gamut_is_converted(chunks: list[Chunk]) -> None:
    right = stored_as_srgb((RAMP / 255) ** 2.2 @ DISPLAY_P3_TO_SRGB.T)
    assert largest_difference(decode(png(RAMP, *chunks)).rgb, right) <= 2
    assert largest_difference(RAMP, right) > 15


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(1 / 2.2)],
        [gamma(0.45), SRGB],
        [P3],  # without gAMA no browser reads it
        [(b"sRGB", b"\0"), gamma(1), P3],
        [code_points(1, 13, 0, 1), gamma(1)],
        [gamma(0)],
        [gamma(0.01)],
        [gamma(50)],
        [(b"gAMA", b"\0\1")],
        [(b"gAMA", b"")],
        [gamma(1 / 2.2), gamma(1)],  # of two chunks the first counts
        [gamma(1 / 2.2), primaries(WHITE, RED, RED, RED)],
        [gamma(1 / 2.2), primaries(WHITE, (0, 0), (0, 0), (0, 0))],
        [gamma(1 / 2.2), primaries((0, 1), RED, GREEN, BLUE)],
        [gamma(1 / 2.2), primaries((1e-5, 1e-5), RED, GREEN, BLUE)],
        [gamma(1 / 2.2), primaries(WHITE, (9, 9), GREEN, BLUE)],
        [code_points(1, 13, 1, 1)],  # a matrix is not possible in a PNG
        [code_points(9, 16, 0, 0)],
        [code_points(2, 2, 0, 1)],
        [code_points(255, 255, 0, 1)],
        [(b"cICP", b"\x0c")],
    ],
)
def test_pixels_stay_as_they_are(chunks: list[Chunk]) -> None:
    assert np.array_equal(decode(png(RAMP, *chunks)).rgb, RAMP)


def test_chunks_after_the_pixels_do_not_count() -> None:
    plain = png(RAMP)
    assert np.array_equal(decode(plain[:-12] + chunk(*gamma(1)) + plain[-12:]).rgb, RAMP)


def test_code_points_come_before_everything_else() -> None:
    right = decode(png(RAMP, code_points(1, 8, 0, 1))).rgb
    assert largest_difference(right, stored_as_srgb(RAMP / 255)) <= 1
    others = (b"sRGB", b"\0"), gamma(0.3), P3, (b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))
    assert np.array_equal(decode(png(RAMP, *others, code_points(1, 8, 0, 1))).rgb, right)


def test_the_reference_white_of_hdr_becomes_white() -> None:
    """PQ stores 203 cd/m2 as 0.5807, and HLG its reference white as 0.75 (ITU-R BT.2408)."""
    for transfer, white in ((16, 0.5807), (18, 0.75)):
        stored = np.array([0.2 * white, white, 1]) * 65535
        pixels = np.repeat(stored.round().astype(np.uint16), 3).reshape(1, 3, 3)
        grey = decode(png(pixels, code_points(9, transfer, 0, 1))).rgb[0]
        assert 0 < grey[0].max() < 60
        assert grey[1].min() >= 253
        assert grey[2].tolist() == [255, 255, 255]


def test_a_mask_is_not_converted() -> None:
    marked = np.where(LEVELS > 127, 255, 0)
    assert np.array_equal(decode_mask(png(LEVELS[None], gamma(1), colour=0)), marked[None])
