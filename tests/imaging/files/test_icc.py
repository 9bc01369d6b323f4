"""Colours of other profiles are converted to sRGB; sRGB pictures do not change."""

import io
import struct
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imaging.files.decode import decode
from imaging.files.icc import to_srgb
from imaging.files.mask import decode_mask

D50 = (0.9642, 1.0, 0.8249)
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
"""Red, green and blue of Display P3 as XYZ under D50."""
XYZ_TO_SRGB = np.array(
    [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]]
)
"""From D50, by Bruce Lindbloom."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = np.random.default_rng(11).integers(0, 256, (48, 64, 3), np.uint8)


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def xyz(colour: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*colour)


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def icc(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of version 2.4."""
    table, bodies = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", start + len(bodies), len(body))
        bodies += body
    header = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(bodies), b"none", 0x02400000, kind, space, connection,
        struct.pack(">6H", 2025, 1, 1, 0, 0, 0), b"acsp",
    )  # fmt: skip
    header = header.ljust(68, b"\0") + fixed(*D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies


def rgb_profile(primaries: Sequence[Sequence[float]], exponent: float) -> bytes:
    tags = {b"wtpt": xyz(D50)}
    for letter, primary in zip("rgb", primaries, strict=True):
        tags[f"{letter}XYZ".encode()] = xyz(primary)
        tags[f"{letter}TRC".encode()] = gamma(exponent)
    return icc(b"RGB ", b"XYZ ", b"mntr", tags)


def grey_profile(exponent: float) -> bytes:
    return icc(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": xyz(D50), b"kTRC": gamma(exponent)})


def grey_ink_profile() -> bytes:
    """Return a CMYK profile of a printer whose inks are all grey, cyan darker than yellow."""
    lightness = [
        (1 - 0.5 * c) * (1 - 0.3 * m) * (1 - 0.1 * y) * (1 - k)
        for c, m, y, k in product((0, 1), repeat=4)
    ]
    table = b"".join(bytes((round(255 * light), 128, 128)) for light in lightness)
    identity = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity
    lut += bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    return icc(b"CMYK", b"Lab ", b"prtr", {b"wtpt": xyz(D50), b"A2B0": lut})


def srgb_curve(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = linear.clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(255 * curved, np.float64)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def largest_difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).max())


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_wide_gamut_becomes_srgb(format: str) -> None:
    profile = rgb_profile(P3, 2.2)
    got = decode(save(Image.fromarray(PHOTO), format, icc_profile=profile, lossless=True)).rgb
    linear = (PHOTO / 255.0) ** 2.2 @ np.array(P3) @ XYZ_TO_SRGB.T
    assert largest_difference(got, srgb_curve(linear)) <= 3
    assert largest_difference(got, PHOTO) > 20


def test_a_jpeg_is_converted_by_its_profile() -> None:
    plain = save(Image.fromarray(PHOTO), "JPEG", quality=95)
    tagged = save(Image.fromarray(PHOTO), "JPEG", quality=95, icc_profile=rgb_profile(P3, 2.2))
    assert np.array_equal(decode(tagged).rgb, to_srgb(decode(plain).rgb, rgb_profile(P3, 2.2)))
    assert not np.array_equal(decode(tagged).rgb, decode(plain).rgb)


def test_alpha_is_not_converted() -> None:
    alpha = np.arange(48 * 64).reshape(48, 64).astype(np.uint8)
    image = Image.fromarray(np.dstack([PHOTO, alpha]))
    got = decode(save(image, "PNG", icc_profile=rgb_profile(P3, 2.2)))
    assert got.alpha is not None
    assert np.array_equal(got.alpha, alpha)
    assert np.array_equal(got.rgb, to_srgb(PHOTO, rgb_profile(P3, 2.2)))


def test_a_profile_equal_to_srgb_changes_no_pixel() -> None:
    assert np.array_equal(to_srgb(PHOTO, SRGB), PHOTO)
    got = decode(save(Image.fromarray(PHOTO), "PNG", icc_profile=SRGB))
    assert np.array_equal(got.rgb, PHOTO)


@pytest.mark.parametrize(
    "profile",
    [
        b"not a profile",
        SRGB[:200],
        SRGB[:-300],
        b"\0" * 5000,
        SRGB[:16] + b"R\x8dB " + SRGB[20:],
        grey_profile(1.0),
        grey_ink_profile(),
        icc(b"RGB ", b"XYZ ", b"mntr", {b"wtpt": xyz(D50)}),
    ],
)
def test_a_damaged_or_wrong_profile_is_ignored(profile: bytes) -> None:
    got = decode(save(Image.fromarray(PHOTO), "PNG", icc_profile=profile))
    assert np.array_equal(got.rgb, PHOTO)


def test_greys_are_converted_by_a_grey_profile() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    dark = decode(save(Image.fromarray(ramp), "PNG", icc_profile=grey_profile(1.0))).rgb
    assert largest_difference(dark, srgb_curve(ramp / 255.0)[..., None]) <= 2
    plain = decode(save(Image.fromarray(ramp), "PNG")).rgb
    assert np.array_equal(plain, np.repeat(ramp[..., None], 3, 2))


def test_cmyk_without_a_profile_is_multiplied() -> None:
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[:16] = (255, 0, 0, 0)
    inks[16:, :16] = (0, 255, 255, 0)
    inks[16:, 16:] = (0, 0, 0, 128)
    data = save(Image.frombytes("CMYK", (32, 32), inks.tobytes()), "JPEG", quality=100)
    assert b"Adobe" in data
    got = decode(data).rgb
    for row, column, colour in ((4, 4, (0, 255, 255)), (28, 4, (255, 0, 0)), (28, 28, (127,) * 3)):
        assert largest_difference(got[row, column], np.array(colour)) <= 3


def test_cmyk_is_converted_by_its_profile() -> None:
    inks = np.zeros((32, 32, 4), np.uint8)
    inks[16:, :16] = (255, 0, 0, 0)
    inks[16:, 16:] = (0, 0, 255, 0)
    image = Image.frombytes("CMYK", (32, 32), inks.tobytes())
    got = decode(save(image, "JPEG", quality=100, icc_profile=grey_ink_profile())).rgb
    paper, cyan, yellow = got[4, 4], got[28, 4], got[28, 28]
    assert paper.min() >= 253
    for grey in (cyan, yellow):
        assert np.ptp(grey) <= 3
    assert cyan[0] < yellow[0] < paper[0]
    # L* 50 is 119 in sRGB.
    assert largest_difference(cyan, np.array(119)) <= 3


def test_large_pictures_are_converted_as_small_ones() -> None:
    large = np.tile(PHOTO, (30, 20, 1))
    profile = rgb_profile(P3, 1.8)
    assert np.array_equal(to_srgb(large, profile), np.tile(to_srgb(PHOTO, profile), (30, 20, 1)))


def test_the_profile_of_a_mask_is_ignored() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    mask = decode_mask(save(Image.fromarray(ramp), "PNG", icc_profile=grey_profile(1.0)))
    assert np.array_equal(mask > 0, ramp > 127)
