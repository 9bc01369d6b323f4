"""From a request's fields to checked, still encoded pictures: bytes, base64 or an address."""

import binascii
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from imaging.errors import DamagedPictureError, EmptyPictureError, NotAPictureError
from imaging.files.header import Probe, probe
from server.errors import (
    BadRequestError,
    FetchFailedError,
    FetchRefusedError,
    FetchTooLargeError,
    TooLargeError,
    UnsupportedPictureError,
)
from server.http.image_fetch import PictureFetcher
from server.settings import Settings

ALL_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
PHOTO_MODES = frozenset({"RGB", "RGBA", "CMYK"})

# Longer than any JPEG or WebP. A line of 60 million pixels would take minutes on every route.
_MAX_SIDE = 100_000
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_WEB_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)
_TO_STANDARD = bytes.maketrans(b"-_ ", b"+/+")
"""To standard base64: the URL alphabet, spaces that were a plus before form decoding."""
_NO_DIGITS = b"\r\n\t="
_DIGITS = string.ascii_letters.encode() + string.digits.encode() + b"+/"
# Decoded piece by piece: no other thread runs meanwhile, and the event loop must not wait long.
_PIECE = 1 << 20


@dataclass(frozen=True)
class PictureRule:
    """Which fields carry one picture of a request, and what it may be.

    name: its name in the code and in refusals. url_fields before file_fields, each in order: the page
    gives the address precedence. formats and modes (Pillow's names): None takes every one.
    """

    name: str
    url_fields: tuple[str, ...]
    file_fields: tuple[str, ...]
    formats: frozenset[str] = ALL_FORMATS
    modes: frozenset[str] | None = None
    required: bool = True
    is_mask: bool = False


IMAGE = PictureRule("image", ("image_url",), ("file", "image_file", "image"))
PHOTO = PictureRule(
    "image",
    IMAGE.url_fields,
    IMAGE.file_fields,
    formats=frozenset({"JPEG", "PNG"}),
    modes=PHOTO_MODES,
)
"""The stricter picture of background/remove and increase_resolution."""
MASK = PictureRule("mask", ("mask_url",), ("mask_file", "mask"), is_mask=True)
REFERENCE = PictureRule(
    "ref_image", ("ref_image_url",), ("ref_image_file", "ref_image"), required=False
)


@dataclass(frozen=True)
class Encoded:
    """A picture as it came, with what its header tells."""

    data: bytes
    probe: Probe
    is_mask: bool = False


class Intake:
    """Brings in the pictures of a request."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = settings.max_picture_mb * 2**20
        self._max_pixels = settings.max_pixels
        self._fetcher = PictureFetcher(
            settings.allowed_url_networks,
            max_bytes=self._max_bytes,
            timeout_s=settings.fetch_timeout_s,
        )

    async def aclose(self) -> None:
        """Close what fetching holds open."""
        await self._fetcher.aclose()

    async def picture(self, fields: Mapping[str, Any], rule: PictureRule) -> Encoded | None:
        """Bring in one picture and check it as far as its header goes; no pixel is decoded.

        Gives None when the request has none and the rule does not require it.
        Raises BadRequestError, TooLargeError, UnsupportedPictureError or FetchRefusedError.
        """
        for name in (*rule.url_fields, *rule.file_fields):
            if name in fields:
                data = await self._bytes(name, fields[name], is_url=name in rule.url_fields)
                return await anyio.to_thread.run_sync(self._check, name, data, rule)
        if rule.required:
            names = " or ".join((rule.url_fields[0], rule.file_fields[0]))
            raise BadRequestError(f"No {rule.name} was given: send {names}.", rule.name)
        return None

    async def _bytes(self, name: str, value: Any, *, is_url: bool) -> bytes:
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, bytes):
            data = value
        elif not isinstance(value, str):
            raise BadRequestError(f"{name} must be text or an uploaded file.", name)
        else:
            data = await self._read_text(name, value.strip(), is_url)
        if len(data) > self._max_bytes:
            raise self._too_large(name)
        return data

    async def _read_text(self, name: str, text: str, is_url: bool) -> bytes:
        if not _DATA_URL.match(text) and (is_url or _WEB_URL.match(text)):
            return await self._fetch(name, text)
        return await anyio.to_thread.run_sync(self._from_base64, name, text)

    async def _fetch(self, name: str, url: str) -> bytes:
        try:
            return await self._fetcher.fetch(url)
        except FetchTooLargeError as error:
            raise self._too_large(name) from error
        except FetchFailedError as error:
            raise FetchRefusedError(f"{name} could not be fetched: {error}", name) from error

    def _from_base64(self, name: str, text: str) -> bytes:
        prefix = _DATA_URL.match(text)
        digits = text[prefix.end() if prefix else 0 :].strip()
        if len(digits) > 2 * self._max_bytes:
            raise self._too_large(name)
        if "%" in digits:  # a data URL whose base64 was percent-encoded
            digits = digits.replace("%2B", "+").replace("%2F", "/").replace("%3D", "")
            digits = digits.replace("%2b", "+").replace("%2f", "/").replace("%3d", "")
        # Anything but ASCII becomes a question mark, which is no digit either.
        plain = digits.encode("ascii", "replace").translate(_TO_STANDARD, _NO_DIGITS)
        if len(plain) % 4 == 1 or plain.translate(None, _DIGITS):
            raise BadRequestError(f"{name} is not base64.", name)
        plain += b"=" * (-len(plain) % 4)
        pieces = range(0, len(plain), _PIECE)
        return b"".join(binascii.a2b_base64(plain[at : at + _PIECE]) for at in pieces)

    def _check(self, name: str, data: bytes, rule: PictureRule) -> Encoded:
        try:
            found = probe(data)
        except EmptyPictureError as error:
            raise BadRequestError(f"{name} is empty.", name) from error
        except DamagedPictureError as error:
            raise BadRequestError(f"{name}: {error}", name) from error
        except NotAPictureError as error:
            raise UnsupportedPictureError(f"{name}: {error}", name) from error
        if max(found.width, found.height) > _MAX_SIDE:
            raise TooLargeError(
                f"{name} has {found.width} x {found.height} pixels;"
                f" a side may have at most {_MAX_SIDE}.",
                name,
            )
        if found.width * found.height > self._max_pixels:
            raise TooLargeError(
                f"{name} has {found.width} x {found.height} pixels;"
                f" at most {self._max_pixels} are taken.",
                name,
            )
        if found.format not in rule.formats:
            taken = " and ".join(sorted(rule.formats))
            raise UnsupportedPictureError(
                f"{name} is {found.format}; this route takes {taken}.", name
            )
        if rule.modes is not None and found.mode not in rule.modes:
            taken = ", ".join(sorted(rule.modes))
            raise UnsupportedPictureError(
                f"{name} has the colour mode {found.mode}; this route takes {taken}.", name
            )
        if found.animated:
            raise UnsupportedPictureError(f"{name} is animated; send a still picture.", name)
        return Encoded(data, found, rule.is_mask)

    def _too_large(self, name: str) -> TooLargeError:
        return TooLargeError(f"{name} is larger than {self._max_bytes // 2**20} MiB.", name)
