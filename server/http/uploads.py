"""Reads the pictures of a request, from files, base64 or addresses, and validates their headers."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from imaging.errors import DamagedPictureError, EmptyPictureError, NotAPictureError
from imaging.files.header import Probe, probe
from models.stages import Stage, stage
from server.errors import (
    BadRequestError,
    FetchFailedError,
    FetchRefusedError,
    FetchTooLargeError,
    TooLargeError,
    UnsupportedPictureError,
)
from server.http.admission import FetchLimit
from server.http.fields import is_absent
from server.http.image_fetch import PictureFetcher
from server.http.processor_time import run_in_thread
from server.http.result_links import ResultLinks
from server.http.transfer_encoding import decode_base64
from server.settings import Settings

ALL_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})
PHOTO_MODES = frozenset({"RGB", "RGBA", "CMYK"})

# More than any JPEG or WebP has. On every route, a picture of 60 million x 1 pixels would take minutes.
_MAX_SIDE = 100_000
_MAX_SCANS = 16
"""Scans of the largest JPEG; a smaller one may have more. Encoders write 10 or 12. Each costs a pass over all
pixels, however small it is: 263 kB can take seconds."""
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_WEB_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)


@dataclass(frozen=True)
class PictureRule:
    """Which fields of a request may contain a picture, and which pictures are accepted.

    name: of the picture in the code and in error messages. url_fields, file_fields: in order of
    precedence, addresses first, as the published page says. formats, modes: Pillow's names; modes None
    accepts all. required: whether a request without it is refused. is_limited: whether the published
    page limits its file to 12 MB (`Settings.max_picture_mb`); others may be as large as a body.
    """

    name: str
    url_fields: tuple[str, ...]
    file_fields: tuple[str, ...]
    formats: frozenset[str] = ALL_FORMATS
    modes: frozenset[str] | None = None
    required: bool = True
    is_mask: bool = False
    is_limited: bool = False


IMAGE = PictureRule("image", ("image_url",), ("file", "image_file", "image"))
LIMITED_IMAGE = replace(IMAGE, is_limited=True)
"""The rule of the routes for which the published page limits the file."""
PHOTO = PictureRule(
    "image",
    IMAGE.url_fields,
    IMAGE.file_fields,
    formats=frozenset({"JPEG", "PNG"}),
    modes=PHOTO_MODES,
)
"""The stricter rule for background/remove and increase_resolution."""
MASK = PictureRule("mask", ("mask_url",), ("mask_file", "mask"), is_mask=True)
REFERENCE = PictureRule(
    "ref_image", ("ref_image_url",), ("ref_image_file", "ref_image"), required=False
)


@dataclass(frozen=True)
class Encoded:
    """An encoded picture and the contents of its header.

    sent_as: the field in which the caller sent it, for error messages: `image_url`, or `sid` of a visual.
    """

    data: bytes
    probe: Probe
    is_mask: bool = False
    sent_as: str = "image"


class Intake:
    """Reads the pictures of requests.

    max_bytes: of a picture of the routes without a limit of their own, and of a result of this server.
    result_links: reads those.
    """

    def __init__(self, settings: Settings, result_links: ResultLinks) -> None:
        # A result is often larger than its input: PNG for JPEG. Still no more than a body may hold.
        self.max_bytes = settings.max_body_mb * 2**20
        self._max_limited_bytes = settings.max_picture_mb * 2**20
        self._max_pixels = settings.max_pixels
        self._result_links = result_links
        self._organisation = ""
        self._fetches = FetchLimit(settings.max_waiting, settings.fetch_timeout_s)
        proxy = settings.fetch_proxy
        self._fetcher = PictureFetcher(
            settings.allowed_url_networks,
            max_bytes=self.max_bytes,
            timeout_s=settings.fetch_timeout_s,
            user_agent=settings.fetch_user_agent,
            proxy=proxy.get_secret_value() if proxy else None,
            read_result=result_links.read,
        )

    def for_organisation(self, organisation: str) -> "Intake":
        """Return the same for the requests of an organisation, whose fetches count against its share."""
        own = copy.copy(self)
        own._organisation = organisation
        return own

    async def aclose(self) -> None:
        """Close the connections of fetches."""
        await self._fetcher.aclose()

    async def picture(self, fields: Mapping[str, Any], rule: PictureRule) -> Encoded | None:
        """Return a picture of a request after the checks that need only its header.

        Returns None if the request has no such picture and the rule does not require it. Raises
        BadRequestError, TooLargeError, UnsupportedPictureError or FetchRefusedError, and BusyError
        if too many pictures are being fetched.
        """
        for name in (*rule.url_fields, *rule.file_fields):
            value = _first(fields.get(name))
            if not is_absent(value):
                data = await self._bytes(name, value, rule)
                return await run_in_thread(self._check, name, data, rule)
        if rule.required:
            names = " or ".join((*rule.url_fields[:1], *rule.file_fields[:1]))
            raise BadRequestError(f"No {rule.name} was given: send {names}.", rule.name)
        return None

    async def _bytes(self, name: str, value: Any, rule: PictureRule) -> bytes:
        limit, is_url = self._limit(rule), name in rule.url_fields
        if isinstance(value, str):
            text = value.strip()
            if not _DATA_URL.match(text) and (is_url or _WEB_URL.match(text)):
                return await self._fetch(name, text, rule)
            data = await run_in_thread(_from_base64, name, text, limit)
        elif isinstance(value, bytes):
            data = value
        else:
            wanted = "an address or a data: URL" if is_url else "text in base64 or an uploaded file"
            raise BadRequestError(f"{name} must be {wanted}.", name)
        if len(data) > limit:
            raise _too_large(name, limit)
        return data

    def _limit(self, rule: PictureRule) -> int:
        return self._max_limited_bytes if rule.is_limited else self.max_bytes

    async def _fetch(self, name: str, url: str, rule: PictureRule) -> bytes:
        try:
            with self._fetches.place(self._organisation), stage(Stage.FETCH):
                return await self._fetcher.fetch(url, rule.formats, self._limit(rule))
        except FetchTooLargeError as error:
            raise _too_large(name, error.max_bytes) from error
        except FetchFailedError as error:
            hint = await run_in_thread(self._result_links.hint, url)
            raise FetchRefusedError(f"{name} could not be fetched: {error}{hint}", name) from error

    def _check(self, name: str, data: bytes, rule: PictureRule) -> Encoded:
        try:
            header = probe(data)
        except EmptyPictureError as error:
            raise BadRequestError(f"{name} is empty.", name) from error
        except DamagedPictureError as error:
            raise BadRequestError(f"{name}: {error}", name) from error
        except NotAPictureError as error:
            raise UnsupportedPictureError(f"{name}: {error}", name) from error
        if max(header.width, header.height) > _MAX_SIDE:
            raise TooLargeError(
                f"{name} has {header.width} x {header.height} pixels;"
                f" a side may have at most {_MAX_SIDE}.",
                name,
            )
        check_pixels(name, header, self._max_pixels)
        if header.scans * header.width * header.height > _MAX_SCANS * self._max_pixels:
            raise TooLargeError(
                f"{name} has {header.width} x {header.height} pixels in {header.scans} scans; at this size"
                f" at most {_MAX_SCANS * self._max_pixels // (header.width * header.height)} are accepted.",
                name,
            )
        if header.format not in rule.formats:
            accepted = " and ".join(sorted(rule.formats))
            raise UnsupportedPictureError(
                f"{name} is {header.format}; this route accepts {accepted}.", name
            )
        if rule.modes is not None and header.mode not in rule.modes:
            accepted = ", ".join(sorted(rule.modes))
            raise UnsupportedPictureError(
                f"{name} has the colour mode {header.mode}; this route accepts {accepted}.", name
            )
        if header.animated:
            raise UnsupportedPictureError(f"{name} is animated; send a still picture.", name)
        return Encoded(data, header, rule.is_mask, name)


def check_pixels(name: str, header: Probe, max_pixels: int) -> None:
    """Raise TooLargeError if a picture has more pixels than are accepted. name: of its field."""
    if header.width * header.height > max_pixels:
        raise TooLargeError(
            f"{name} has {header.width} x {header.height} pixels; at most {max_pixels} are accepted.",
            name,
        )


def _first(value: Any) -> Any:
    """Return the first of several values of a field."""
    return value[0] if isinstance(value, list) and value else value


def _from_base64(name: str, text: str, limit: int) -> bytes:
    prefix = _DATA_URL.match(text)
    digits = text[prefix.end() if prefix else 0 :].strip()
    if len(digits) > 2 * limit:
        raise _too_large(name, limit)
    if "%" in digits:  # the base64 of a data URL may be percent-encoded
        digits = digits.replace("%2B", "+").replace("%2F", "/").replace("%3D", "")
        digits = digits.replace("%2b", "+").replace("%2f", "/").replace("%3d", "")
    try:
        # Any character that is not ASCII becomes a question mark, which is not in the alphabet.
        return decode_base64(digits.encode("ascii", "replace"))
    except ValueError as error:
        raise BadRequestError(f"{name} is not base64.", name) from error


def _too_large(name: str, limit: int) -> TooLargeError:
    return TooLargeError(f"{name} is larger than {limit // 2**20} MiB.", name)
