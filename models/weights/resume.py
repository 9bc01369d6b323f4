"""Downloads a file over HTTP into a part file; after a break it goes on where it stopped, also in a later run.

What was there already is asked for with Range, on the condition (If-Range) that the file is still
the same version. A server that cannot do so sends all of it, and the part is started anew.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import httpx2 as httpx

Progress = Callable[[str, int, int], None]
"""Called with a label, the bytes done, and the bytes in all (0 when unknown)."""

CHUNK = 1 << 20
TIMEOUT = httpx.Timeout(30.0)
"""Seconds to connect, and for each read."""
RETRIES = 4
"""How often in a row a download that gained less than a CHUNK is tried again."""
FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)


class SourceError(Exception):
    """One source cannot give the file; the next source is tried."""


class _BrokenOffError(Exception):
    """The answer ended too early, or the server asks to come again."""


class PartFile:
    """The first bytes of a file, and which version of it they are of. One process at a time has it open."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        """Take over an open and locked stream."""
        self.path = path
        self._stream = stream
        self._version = path.with_name(f"{path.name}.version")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a part, or begin one; wait for another process that has it. An empty one is removed at the end."""
        while True:
            stream = path.open("ab")
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_at(path, stream):
                break
            stream.close()  # who had it meanwhile finished or removed it
        with stream:
            stream.seek(0, os.SEEK_END)
            part = cls(path, stream)
            try:
                yield part
            finally:
                if part.size == 0 and _is_at(path, stream):
                    part.clear()
                    path.unlink()

    @property
    def size(self) -> int:
        """Return how many bytes there are."""
        return self._stream.tell()

    @property
    def version(self) -> str:
        """Return the ETag or date of the file that this is a part of, "" where it is not known."""
        try:
            return self._version.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def clear(self, version: str = "") -> None:
        """Start anew, with the first byte of a version."""
        self._stream.truncate(0)
        self._stream.seek(0)
        if version:
            self._version.write_text(version)
        else:
            self._version.unlink(missing_ok=True)

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        self._stream.write(data)

    def flush(self) -> None:
        """Bring everything onto the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def move_to(self, target: Path) -> None:
        """Make this the file `target`."""
        self.flush()
        self.path.replace(target)
        self._version.unlink(missing_ok=True)


def download(
    url: str,
    part: PartFile,
    size: int | None,
    limit: int,
    label: str,
    progress: Progress,
    headers: dict[str, str] | None = None,
) -> None:
    """Fill `part` with what lies at `url`, going on from what it has; a break is retried some times.

    size: bytes of the file, where known. limit: bytes at most. Raises SourceError and httpx's errors;
    what was fetched until a break stays in the part.
    """
    best, failures = part.size, 0
    while True:
        try:
            _attempt(url, part, size, limit, label, progress, headers or {})
            return
        except (_BrokenOffError, httpx.TransportError) as error:
            failures = 0 if part.size >= best + CHUNK else failures + 1
            best = max(best, part.size)
            # Nobody there: the next source is, maybe.
            absent = isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol) and not best
            if failures > RETRIES or absent:
                raise SourceError(str(error) or type(error).__name__) from error
            time.sleep(min(FIRST_PAUSE_S * 2 ** max(0, failures - 1), _LONGEST_PAUSE_S))


def _attempt(
    url: str,
    part: PartFile,
    size: int | None,
    limit: int,
    label: str,
    progress: Progress,
    headers: dict[str, str],
) -> None:
    if part.size and (not part.version or part.size > limit):
        part.clear()
    if part.size and part.size == size:
        return
    offset = part.size
    asked = {"Accept-Encoding": "identity", **headers}
    if offset:
        asked |= {"Range": f"bytes={offset}-", "If-Range": part.version}
    with httpx.stream(
        "GET", url, headers=asked, follow_redirects=True, timeout=TIMEOUT
    ) as response:
        if response.status_code in _TEMPORARY:
            raise _BrokenOffError(f"the server answered with status {response.status_code}")
        total = _total_after(response, offset, part.version, size) if offset else None
        again = offset and total is None and response.status_code in (206, 416)
        if not again:
            _read(response, part, size, limit, label, progress, total)
            return
    # It cannot go on from there: once more, from the first byte.
    part.clear()
    _attempt(url, part, size, limit, label, progress, headers)


def _total_after(
    response: httpx.Response, offset: int, version: str, size: int | None
) -> int | None:
    """Return the bytes of the whole file if an answer goes on at `offset` of the same version, else None."""
    stated = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if response.status_code != 206 or stated is None or _version(response) not in ("", version):
        return None
    first, last = int(stated[1]), int(stated[2])
    total = size if stated[3] == "*" else int(stated[3])
    if total is None:
        total = last + 1
    return total if first == offset <= last < total and size in (None, total) else None


def _read(
    response: httpx.Response,
    part: PartFile,
    size: int | None,
    limit: int,
    label: str,
    progress: Progress,
    total: int | None,
) -> None:
    """Read the body of an answer. total: of the whole file, where the answer goes on with it."""
    response.raise_for_status()
    if response.status_code == 206 and total is None:
        raise SourceError("the server sent a part that was not asked for")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise SourceError("the server compressed what was asked for as it is")
    if total is None:
        part.clear(_version(response))
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
    told = part.size
    progress(label, told, total or 0)
    for piece in response.iter_raw():  # as they come: a break loses nothing
        if part.size + len(piece) > min(limit, total or limit):
            part.clear()
            raise SourceError(f"more than the expected {min(limit, total or limit)} bytes")
        part.append(piece)
        if part.size >= told + CHUNK or part.size == total:
            told = part.size
            progress(label, told, total or 0)
    if part.size < (total or size or 0):
        raise _BrokenOffError(f"broken off after {part.size} bytes")


def _version(response: httpx.Response) -> str:
    """Return what If-Range takes: an ETag that holds for each byte, or else the date of the last change."""
    etag = str(response.headers.get("ETag", "")).strip()
    if etag.startswith('"'):
        return etag
    return str(response.headers.get("Last-Modified", "")).strip()


def _is_at(path: Path, stream: IO[bytes]) -> bool:
    """Whether `stream` is the file that lies at `path` now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
