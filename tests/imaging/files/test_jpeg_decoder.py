"""Decoding JPEG files: those that have all their pixels, those that do not, and how that is known."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imaging.errors import DamagedPictureError
from imaging.files.decode import decode
from imaging.files.mask import decode_mask

END = b"\xff\xd9"
SCAN = b"\xff\xda"
NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (56, 72, 3), np.uint8))
FLAT = Image.new("RGB", (200, 170), (90, 90, 90))


def save(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"quality": 85, **options})
    return stream.getvalue()


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def segment(data: bytes, marker: bytes) -> slice:
    """Return where the first segment with a marker is."""
    start = data.index(marker)
    (length,) = struct.unpack_from(">H", data, start + 2)
    return slice(start, start + 2 + length)


def in_separate_scans(image: Image.Image, luma: int = 0x11) -> bytes:
    """Return a sequential JPEG with one scan for each component.

    luma: the sampling factors of the first component, of which the others have 2 x 1.
    """
    planes = [Image.fromarray(plane) for plane in np.moveaxis(np.asarray(image), 2, 0)]
    if luma == 0x11:  # half as wide as the others
        planes[0] = planes[0].resize((-(-image.width // 2), image.height))
    files = [save(plane) for plane in planes]
    frame, scan = segment(files[0], b"\xff\xc0"), segment(files[0], SCAN)
    factors = bytes((1, luma, 0)) + bytes((2, 0x21, 0)) + bytes((3, 0x21, 0))
    header = struct.pack(">HBHHB", 17, 8, image.height, image.width, 3) + factors
    start = files[0][: frame.start] + b"\xff\xc0" + header + files[0][frame.stop : scan.start]
    for number, file in enumerate(files, 1):
        data = file[segment(file, SCAN).stop : -2]
        start += SCAN + struct.pack(">H6B", 8, 1, number, 0, 0, 63, 0) + data
    return start + END


def with_another_jfif_version(data: bytes) -> bytes:
    """Return a file of which libjpeg warns at its start, so that it does not report further faults."""
    at = data.index(b"JFIF\0") + 5
    return data[:at] + b"\2" + data[at + 1 :]


def with_bytes_between_scans(data: bytes) -> bytes:
    """Return a file of which libjpeg warns after its first scan."""
    at = data.rindex(SCAN)
    return data[:at] + bytes(3) + data[at:]


FILES = {
    **{
        f"{mode} {kind}": save(NOISE.convert(mode), **options)
        for mode in ("RGB", "L", "CMYK")
        for kind, options in {
            "baseline": {},
            "progressive": {"progressive": True},
            "with restarts": {"restart_marker_blocks": 3},
            "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
        }.items()
    },
    "flat": save(FLAT),
    "flat progressive": save(FLAT, progressive=True),
    "separate scans": in_separate_scans(NOISE, luma=0x21),
}
IRREGULAR = {
    "other version": with_another_jfif_version(FILES["RGB baseline"]),
    "other version, restarts": with_another_jfif_version(FILES["RGB with restarts"]),
    "other version, progressive": with_another_jfif_version(FILES["L progressive with restarts"]),
    "bytes between scans": with_bytes_between_scans(FILES["separate scans"]),
    "rare subsampling": in_separate_scans(NOISE),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_file_without_its_end_mark_is_decoded(name: str, missing: int) -> None:
    whole = FILES[name]
    pixels = decode(whole).rgb
    assert np.array_equal(pixels, by_pillow(whole))
    assert np.array_equal(decode(whole[:-missing]).rgb, pixels)


@pytest.mark.parametrize("name", IRREGULAR)
def test_an_irregular_file_is_decoded(name: str) -> None:
    assert np.array_equal(decode(IRREGULAR[name]).rgb, by_pillow(IRREGULAR[name]))


@pytest.mark.parametrize("name", [*FILES, *IRREGULAR])
@pytest.mark.parametrize("end", [b"", END], ids=["no end", "with end"])
def test_a_file_truncated_in_its_data_is_damage(name: str, end: bytes) -> None:
    whole = {**FILES, **IRREGULAR}[name]
    first, last = segment(whole, SCAN).stop, len(whole) - 2
    markers = [at for at in range(first, last) if whole[at] == 0xFF and whole[at + 1] != 0]
    for cut in {*range(first, last, max(1, last // 40)), *range(last - 12, last), *markers}:
        with pytest.raises(DamagedPictureError, match="JPEG"):
            decode(whole[:cut] + end)


def test_a_truncated_mask_is_damage() -> None:
    with pytest.raises(DamagedPictureError):
        decode_mask(FILES["L baseline"][:-20] + END)


@pytest.mark.parametrize("name", ["RGB with restarts", "RGB progressive with restarts"])
def test_a_missing_restart_interval_is_damage(name: str) -> None:
    whole = FILES[name]
    first, second = whole.index(b"\xff\xd1"), whole.index(b"\xff\xd2")
    with pytest.raises(DamagedPictureError):
        decode(whole[:first] + whole[second:])
    with pytest.raises(DamagedPictureError):
        decode(whole[: first + 9] + whole[second:])


def test_zeros_in_place_of_the_rest_are_damage() -> None:
    whole = FILES["RGB baseline"]
    for zeros in (10, 100, 100_000):  # fewer than the picture needs, and more
        with pytest.raises(DamagedPictureError):
            decode(whole[: len(whole) // 2] + bytes(zeros))


def test_a_progressive_file_without_its_last_scans_is_damage() -> None:
    """libjpeg shows a blurred or grey picture, and does not warn."""
    whole = save(Image.new("L", (2000, 2000), 128), progressive=True)
    scans = [at for at in range(len(whole)) if whole.startswith(SCAN, at)]
    assert decode(whole).width == 2000
    for scan in scans[1:]:
        for end in (b"", END):
            with pytest.raises(DamagedPictureError):
                decode(whole[:scan] + end)


def test_arithmetic_data_must_have_an_end_mark() -> None:
    """Its decoder reads zeros after the end, so that nobody notices what is missing."""
    data = FILES["L baseline"].replace(b"\xff\xc0", b"\xff\xc9")
    assert decode(data).width == 72
    with pytest.raises(DamagedPictureError):
        decode(data[:-2])


@pytest.mark.parametrize("name", ["flat progressive", "separate scans"])
@pytest.mark.parametrize("body", [b"", b"\1", b"\3\1\0\2\0\3\0", b"\xff\1"])
def test_a_scan_with_a_short_header_is_damage(name: str, body: bytes) -> None:
    whole = FILES[name]
    at = whole.rindex(SCAN)
    with pytest.raises(DamagedPictureError):
        decode(whole[:at] + SCAN + struct.pack(">H", 2 + len(body)) + body + whole[at:])
