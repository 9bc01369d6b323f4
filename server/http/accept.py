"""The Accept header of a request: whether its caller wants the file of a result instead of JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.request import parse_http_list

from starlette.requests import Request

from server.errors import NotAcceptableError

HEADER = "Accept"
JSON = "application/json"
ZIP = "application/zip"
FILE_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "zip": ZIP,
    "psd": "image/vnd.adobe.photoshop",
}
"""By extension: the types of files that can be answered, lossless pictures first."""
_MAX_LENGTH = 4096
"""A longer header, in characters, is read as none: no program sends one."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf"\s*({_WORD}/{_WORD})\s*(;.*)?", re.ASCII | re.DOTALL)
_QUALITY = re.compile(r";\s*q\s*=\s*([^;]*)", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.ASCII)
_OF_JSON_TOO = ("*/*", "application/*")
"""Ranges that contain JSON; all other ranges with JSON in them name it."""


@dataclass(frozen=True)
class Accept:
    """What a request accepts (RFC 9110, section 12.5.1). ranges: the quality, 0..1, of each media range."""

    ranges: Mapping[str, float]

    def quality(self, media_type: str) -> float:
        """Return the quality of a type, 0..1: that of the most specific range with the type in it."""
        for name in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
            if name in self.ranges:
                return self.ranges[name]
        return 0.0

    @property
    def takes_json(self) -> bool:
        """Whether JSON may be answered."""
        return self.quality(JSON) > 0

    @property
    def prefers_files(self) -> bool:
        """Whether files are named, and nothing else is liked as much: neither JSON nor, as browsers do, text."""
        files = [quality for name, quality in self.ranges.items() if _is_file(name)]
        others = [
            quality
            for name, quality in self.ranges.items()
            if not _is_file(name) and name not in _OF_JSON_TOO
        ]
        return max(files, default=0.0) > max(self.quality(JSON), *others, 0.0)

    def best(self, media_types: Sequence[str]) -> str | None:
        """Return which of these types is liked best, the first of equals; None: JSON is answered.

        Raises NotAcceptableError if neither any of them nor JSON may be answered.
        """
        liked = max(media_types, key=self.quality, default=None)
        if liked is not None and self.quality(liked) > self.quality(JSON):
            return liked
        if self.takes_json:
            return None
        raise NotAcceptableError(
            f"{HEADER} names no type in which this can be answered: it can be"
            f" {', '.join([*media_types, JSON])}.",
            HEADER,
        )

    def __str__(self) -> str:
        return ", ".join(f"{name};q={quality:g}" for name, quality in sorted(self.ranges.items()))


def wanted_file(request: Request) -> Accept | None:
    """Return what a request accepts if its caller would rather have a file than JSON; else None.

    A header without a type of a file, such as `*/*` or `text/html`, changes nothing: JSON is answered.
    """
    text = ",".join(request.headers.getlist(HEADER)).lower()
    if ("image/" not in text and ZIP not in text) or len(text) > _MAX_LENGTH:
        return None
    accept = parse_accept(text)
    return accept if accept.prefers_files else None


def parse_accept(text: str) -> Accept:
    """Return what a header says, in lower case; a malformed part of it counts for nothing."""
    ranges: dict[str, float] = {}
    for part in parse_http_list(text):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        sent = _QUALITY.search(_QUOTED.sub("", match[2] or ""))
        if sent is not None and not _WEIGHT.fullmatch(sent[1]):
            continue
        quality = float(sent[1]) if sent else 1.0
        ranges[match[1]] = max(quality, ranges.get(match[1], 0.0))
    return Accept(ranges)


async def answers_json(request: Request) -> None:
    """Refuse a request that takes no JSON, at a route that answers nothing else; a dependency of FastAPI."""
    accept = wanted_file(request)
    if accept is not None:
        accept.best(())


def _is_file(media_range: str) -> bool:
    return media_range.startswith("image/") or media_range == ZIP
