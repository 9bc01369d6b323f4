"""Limits of libvips: one loader, one thread per picture, no cache, no output."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from imaging.errors import DamagedPictureError, NotAPictureError
from imaging.files.decode import decode
from imaging.files.libvips import load_png
from tests.helpers.places import ROOT

PHOTO = Image.fromarray(np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8))


def save(format: str) -> bytes:
    stream = io.BytesIO()
    PHOTO.save(stream, format)
    return stream.getvalue()


OTHERS = {
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9'/></svg>",
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(40),
    "csv": b"1,2\n3,4\n",
    **{name: save(name) for name in ("GIF", "TIFF", "PPM", "JPEG", "WEBP")},
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_format_is_recognized(name: str) -> None:
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_buffer(OTHERS[name], "")


@pytest.mark.parametrize(
    "loader",
    ["svgload", "gifload", "tiffload", "jpegload", "webpload", "csvload", "vipsload", "rawload"],
)
def test_every_other_loader_is_blocked(loader: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OTHERS["svg"])
    size = [1, 1, 1] if loader == "rawload" else []
    with pytest.raises(pyvips.Error, match="operation is blocked"):
        getattr(pyvips.Image, loader)(path, *size)


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ("JPEG", "WEBP")])
def test_a_forged_signature_reaches_no_other_loader(name: str) -> None:
    with pytest.raises(NotAPictureError):
        decode(OTHERS[name])
    forged = b"\x89PNG\r\n\x1a\n"
    for data in (forged + OTHERS[name], forged + OTHERS[name][8:]):
        with pytest.raises(DamagedPictureError):
            decode(data)
        with pytest.raises(DamagedPictureError):
            load_png(data)
    with pytest.raises(DamagedPictureError):
        load_png(OTHERS[name])


def test_nothing_is_cached() -> None:
    for _ in range(3):
        load_png(save("PNG"))
    assert pyvips.cache_get_max() == 0
    assert pyvips.voperation.cache_get_size() == 0


def test_a_picture_has_one_thread() -> None:
    assert pyvips.voperation.concurrency_get() == 1


def test_damage_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    data = bytearray(save("PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    for damaged in (bytes(data), bytes(data[:200]), bytes(data[:20])):
        with pytest.raises(DamagedPictureError):
            load_png(damaged)
    assert caplog.records == []


def test_nothing_is_printed() -> None:
    program = """
import logging
logging.basicConfig(level=logging.INFO)
from imaging.files.decode import decode
from imaging.files.header import DamagedPictureError
for length in (20, 40, 200, 1000):
    try:
        decode(DATA[:length])
    except DamagedPictureError:
        continue
    raise SystemExit("no damage")
"""
    done = subprocess.run(
        [sys.executable, "-c", f"DATA = {save('PNG')!r}\n{program}"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_message_with_bytes_of_the_file_is_damage() -> None:
    data = save("PNG")
    for kind in (b"\xff\xfeAT", b"\x80\x81\x82\x83"):
        with pytest.raises(DamagedPictureError):
            load_png(data.replace(b"IDAT", kind))


def output_of(script: str, *arguments: object) -> str:
    """Return what a script prints in a process of its own, where its limits do no harm."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


NO_MEMORY = """
import resource, sys
from imaging.files.decode import decode
small, large = (open(path, "rb").read() for path in sys.argv[1:3])
decode(small)
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) << 10
room = used + (int(sys.argv[3]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
try:
    decode(large)
except MemoryError:
    print("no memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory in use is read from /proc")
@pytest.mark.parametrize("room_mb", [60, 250])
def test_without_memory_the_file_is_not_to_blame(room_mb: int, tmp_path: Path) -> None:
    # 60: libvips has no room for the samples; 250: OpenCV has none for their colours.
    paths = []
    for side in (80, 6000):
        paths.append(tmp_path / f"{side}.png")
        Image.new("RGBA", (side, side)).save(paths[-1], compress_level=1)
    assert output_of(NO_MEMORY, *paths, room_mb) == "no memory\n"


NO_THREAD = """
import os, resource, sys
from imaging.files.decode import decode
data = open(sys.argv[1], "rb").read()
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
if os.getuid() == 0:  # the limit does not hold for root
    os.setuid(65534)
try:
    decode(data)
except MemoryError:
    print("no thread")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count differently")
def test_without_a_thread_the_file_is_not_to_blame(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(save("PNG"))
    assert output_of(NO_THREAD, path) == "no thread\n"
