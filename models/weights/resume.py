"""Downloads a file over HTTP into a part file. An interrupted download is resumed, even in a later run.

Only the missing bytes are requested (Range), if the server still has the same version (If-Range). If
the server does not support this, it sends the whole file, and the part file starts from the beginning.
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

from models.deadline import checkpoint

Progress = Callable[[str, int, int], None]
"""Called with a label, the number of bytes done, and the total number of bytes (0 if unknown)."""

CHUNK = 1 << 20
TIMEOUT = httpx.Timeout(30.0)
"""In seconds, to connect and for each read."""
RETRIES = 4
"""Number of consecutive retries that gain less than a CHUNK."""
FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 8.0
_TEMPORARY = frozenset({408, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)


class SourceError(Exception):
    """A source does not have the file or does not send it. The next source is tried."""


class _InterruptedError(Exception):
    """The answer ended too early, or the server asks for a retry."""


class PartFile:
    """The first bytes of a file, and the version of that file. Only one process at a time has it open."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        """stream: of the file at `path`, open and locked."""
        self.path = path
        self._stream = stream
        self._version = path.with_name(f"{path.name}.version")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open or create a part; wait while another process has it open. An empty part is removed at the end."""
        while True:
            stream = path.open("ab")
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_at(path, stream):
                break
            stream.close()  # the process that had it open has moved or removed it
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
        """The number of bytes so far."""
        return self._stream.tell()

    @property
    def version(self) -> str:
        """The ETag or date of the file that this is a part of; "" if unknown."""
        try:
            return self._version.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def clear(self, version: str = "") -> None:
        """Remove all bytes. version: of the file whose first byte comes next."""
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
        """Write all bytes to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def move_to(self, target: Path) -> None:
        """Move the complete part to `target`."""
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
    """Download the missing bytes of the file at `url` into `part`. Retry if the download is interrupted.

    size: number of bytes of the file, or None if unknown. limit: largest number of bytes. Raises
    SourceError and the errors of httpx; the part keeps the bytes that have arrived.
    """
    best, failures = part.size, 0
    while True:
        try:
            _attempt(url, part, size, limit, label, progress, headers or {})
            return
        except (_InterruptedError, httpx.TransportError) as error:
            failures = 0 if part.size >= best + CHUNK else failures + 1
            best = max(best, part.size)
            # Without a connection a retry rarely helps. The next source may work.
            unreachable = (
                isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol) and not best
            )
            if failures > RETRIES or unreachable:
                raise SourceError(str(error) or type(error).__name__) from error
            checkpoint()
            time.sleep(min(FIRST_DELAY_S * 2 ** max(0, failures - 1), _MAX_DELAY_S))


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
    request_headers = {"Accept-Encoding": "identity", **headers}
    if offset:
        request_headers |= {"Range": f"bytes={offset}-", "If-Range": part.version}
    with httpx.stream(
        "GET", url, headers=request_headers, follow_redirects=True, timeout=TIMEOUT
    ) as response:
        if response.status_code in _TEMPORARY:
            raise _InterruptedError(f"the server answered with status {response.status_code}")
        total = _resumed_total(response, offset, part.version, size) if offset else None
        must_restart = offset and total is None and response.status_code in (206, 416)
        if not must_restart:
            _read(response, part, size, limit, label, progress, total)
            return
    # The server cannot resume there: download all of it, from the first byte.
    part.clear()
    _attempt(url, part, size, limit, label, progress, headers)


def _resumed_total(
    response: httpx.Response, offset: int, version: str, size: int | None
) -> int | None:
    """Return the size of the whole file if the answer starts at `offset` of the same version, else None."""
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
    """Append the body of an answer to the part. total: size of the file if the answer resumes it, else None."""
    response.raise_for_status()
    if response.status_code == 206 and total is None:
        raise SourceError("the server sent a part that was not requested")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise SourceError("the server compressed the file, although this was not requested")
    if total is None:
        part.clear(_version(response))
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
    reported = part.size
    progress(label, reported, total or 0)
    for piece in response.iter_raw():  # as they arrive: an interruption loses nothing
        checkpoint()
        if part.size + len(piece) > min(limit, total or limit):
            part.clear()
            raise SourceError(f"more than the expected {min(limit, total or limit)} bytes")
        part.append(piece)
        if part.size >= reported + CHUNK or part.size == total:
            reported = part.size
            progress(label, reported, total or 0)
    if part.size < (total or size or 0):
        raise _InterruptedError(f"interrupted after {part.size} bytes")


def _version(response: httpx.Response) -> str:
    """Return the value for If-Range: a strong ETag, or else the date of the last change."""
    etag = str(response.headers.get("ETag", "")).strip()
    if etag.startswith('"'):
        return etag
    return str(response.headers.get("Last-Modified", "")).strip()


def _is_at(path: Path, stream: IO[bytes]) -> bool:
    """Whether `stream` is still the file at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
