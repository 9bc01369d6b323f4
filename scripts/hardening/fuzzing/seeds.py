"""The files that fuzzing begins with: reduced photographs in every format, and odd and hostile pictures."""

from collections.abc import Iterator

from PIL import Image

from tests.helpers.hostile_pictures import ODD, REFUSED
from tests.helpers.places import PHOTOS
from tests.helpers.requests import encode

_LARGEST = 100_000
"""Larger files are mostly repetitions, and slow to mutate."""


def seeds() -> Iterator[bytes]:
    """Yield them, each at most 100 kB."""
    for path in sorted(PHOTOS.glob("*.jpg")):
        with Image.open(path) as image:
            photo = image.convert("RGB")
        photo.thumbnail((96, 96))
        clear = photo.copy()
        clear.putalpha(photo.convert("L"))
        yield encode(photo, "JPEG")
        yield encode(photo, "JPEG", progressive=True, subsampling=0)
        yield encode(photo.convert("CMYK"), "JPEG")
        yield encode(photo.convert("L"), "JPEG", restart_marker_blocks=2)
        for picture in (photo, clear, photo.convert("P"), photo.convert("1"), photo.convert("LA")):
            yield encode(picture, "PNG")
        for picture in (photo, clear):
            yield encode(picture, "WEBP")
            yield encode(picture, "WEBP", lossless=True)
    for make in (*REFUSED.values(), *ODD.values()):
        if len(file := make()) <= _LARGEST:
            yield file
