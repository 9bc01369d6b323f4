"""HTTP/1.1 framing: h11's parser, stricter where a proxy could read a request in another way (RFC 9112)."""

import re
from typing import Any

import h11
from h11._connection import NEED_DATA, PAUSED
from h11._events import Event
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from h11._util import Sentinel

MAX_HEAD_BYTES = 1 << 16
"""Longest head of a request, in bytes; the trailer after a chunked body has the same limit."""
ANSWER_START = b"HTTP/1.1 "
"""The first bytes of every answer."""

_MAX_CHUNK_LINE = 4096
"""Longest line that begins a chunk, with its extensions, in bytes."""
_FREE_CHUNK_LINE = 16
_MAX_CHUNK_EXCESS = 1 << 14
"""Bytes of chunk lines beyond 16 for each chunk and twice its data; the rule is that of Go's net/http
(CVE-2023-39326)."""
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTENT_LENGTH = b"content-length:"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_SMALL_CHUNK = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,2})\r\n")
_TARGET = re.compile(rb"/|\*\Z|https?://", re.IGNORECASE)


class StrictConnection(h11.Connection):
    """The server's side of one connection.

    Beyond what h11 refuses, it refuses with 400: Content-Length with Transfer-Encoding (RFC 9112, section
    6.1), a repeated Content-Length (6.3), Transfer-Encoding in HTTP/1.0 (6.1), a line that ends without CR
    (2.2), a folded line (5.2), control characters in a field (RFC 9110, section 5.5), a target that is
    neither a path nor an address (RFC 9112, section 3.2), malformed chunks (7.1) and too many bytes of
    chunk extensions (7.1.1). Another major version than 1 is 505, a head above `MAX_HEAD_BYTES` is 431.

    refusal: why the last request was refused; None if none was. bytes_sent: of all answers.
    """

    refusal: h11.RemoteProtocolError | None = None
    bytes_sent = 0

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._receive_buffer = _StrictBuffer()
        self._has_begun_answer = False

    def next_event(self) -> Event | type[NEED_DATA] | type[PAUSED]:
        """Return the next event, as h11 does; raises h11.RemoteProtocolError."""
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            self.refusal = error
            raise

    def begin_answer(self) -> bytes:
        """Return the bytes with which the next answer begins; `send` then leaves them out."""
        self._has_begun_answer = True
        return ANSWER_START

    def send(self, event: Event) -> bytes | None:  # type: ignore[override]
        """Return the bytes of an event, as h11 does."""
        data = super().send(event)
        self.bytes_sent += len(data or b"")
        if self._has_begun_answer and data is not None and data.startswith(ANSWER_START):
            self._has_begun_answer = False
            return data.removeprefix(ANSWER_START)
        return data

    def _extract_next_receive_event(self) -> Event | type[NEED_DATA] | type[PAUSED]:
        if self.their_state is h11.IDLE and isinstance(self._receive_buffer, _StrictBuffer):
            self._receive_buffer.skip_empty_line()
        event = super()._extract_next_receive_event()
        if isinstance(event, h11.Request):
            _check_request(event)
        return event

    def _get_io_object(self, role: type[Sentinel], event: Event | None, io_dict: Any) -> Any:
        found = super()._get_io_object(role, event, io_dict)
        return _StrictChunkedReader() if isinstance(found, ChunkedReader) else found


def _check_request(request: h11.Request) -> None:
    """Raise h11.RemoteProtocolError for a head that h11 accepts and this server does not."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("only HTTP/1.1 is spoken here", error_status_hint=505)
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding were sent")
        if request.http_version == b"1.0":
            raise h11.RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")
    if not _TARGET.match(request.target):
        raise h11.RemoteProtocolError("the request target is neither a path nor an address")


class _StrictBuffer(ReceiveBuffer):
    """h11's buffer of received bytes; lines of a head must end with CR LF."""

    _has_skipped = False
    _checked = 0

    def skip_empty_line(self) -> None:
        """Drop one empty line before a request (RFC 9112, section 2.2)."""
        if not self._has_skipped and self._data[:2] == b"\r\n":
            self._extract(2)
            self._has_skipped = True

    def is_next_line_obviously_invalid_request_line(self) -> bool:
        """Whether the bytes so far begin no request; CR can be the start of an empty line."""
        return self._data != b"\r" and super().is_next_line_obviously_invalid_request_line()

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines of a head or trailer once it is complete; raises h11.RemoteProtocolError."""
        end = self._data.find(b"\r\n\r\n", max(0, self._checked - 3))
        head = len(self._data) if end < 0 else end + 4
        if self._data[:2] != b"\r\n":
            self._check_line_ends(head)
        lines = super().maybe_extract_lines()
        if lines is not None:
            self._checked, self._has_skipped = 0, False
            _check_lines(lines)
        return lines

    def _check_line_ends(self, end: int) -> None:
        if end > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
        if _BARE_LINE_FEED.search(self._data, max(0, self._checked - 1), end):
            raise h11.RemoteProtocolError("a line ends with LF alone")
        self._checked = end


def _check_lines(lines: list[bytearray]) -> None:
    for line in lines:
        if line.startswith((b" ", b"\t")):
            raise h11.RemoteProtocolError("a header field is folded over two lines")
        if _CONTROL.search(line):
            raise h11.RemoteProtocolError("a control character in the head")
    lengths = [line for line in lines if line[: len(_CONTENT_LENGTH)].lower() == _CONTENT_LENGTH]
    if len(lengths) > 1 or b"," in b"".join(lengths):
        raise h11.RemoteProtocolError("Content-Length was sent more than once")


class _StrictChunkedReader:
    """Reads a chunked body (RFC 9112, section 7.1).

    One event has the data of all chunks that have arrived: h11 makes an event of each, so that a body of
    one-byte chunks blocks the event loop for seconds.
    """

    def __init__(self) -> None:
        self._left = 0
        self._at_chunk_end = False
        self._in_trailer = False
        self._excess = 0

    def __call__(self, buffer: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Return the data that has arrived, or the end of the body; None if more bytes are needed."""
        received = bytearray()
        if not self._in_trailer:
            buffer._extract(self._read(buffer._data, received))
        if received:
            return h11.Data(data=bytes(received))
        if self._in_trailer and buffer.maybe_extract_lines() is not None:
            return h11.EndOfMessage()
        return None

    def read_eof(self) -> None:
        """Raise h11.RemoteProtocolError: the connection ended before the body."""
        raise h11.RemoteProtocolError("the connection ended before the body")

    def _read(self, data: bytearray, received: bytearray) -> int:
        """Append the data of chunks to `received`; return the number of bytes that were read."""
        at = 0
        while not self._in_trailer:
            if self._left:
                piece = data[at : at + self._left]
                received += piece
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._at_chunk_end = True
            if self._at_chunk_end:
                if len(data) < at + 2:
                    break
                _check_chunk_end(data[at : at + 2])
                at, self._at_chunk_end = at + 2, False
            at = self._read_small(data, at, received)
            line = _CHUNK_LINE.match(data, at)
            if line is None:
                _check_incomplete(data, at)
                break
            self._begin_chunk(int(line[1], 16), line.end() - at)
            at = line.end()
        return at

    def _read_small(self, data: bytearray, at: int, received: bytearray) -> int:
        """Append the data of small chunks that have arrived whole; return where the next one begins.

        Twice as fast as one after another: 256 KiB of them, one read, would block the event loop for 70 ms.
        """
        while self._excess == 0 and (line := _SMALL_CHUNK.match(data, at)):
            start = line.end()
            end = start + int(line[1], 16)
            if data[end : end + 2] != b"\r\n":
                break
            received += data[start:end]
            at = end + 2
        return at

    def _begin_chunk(self, size: int, line_length: int) -> None:
        self._left = size
        self._in_trailer = size == 0
        self._excess = max(0, self._excess + line_length - _FREE_CHUNK_LINE - 2 * size)
        if line_length > _MAX_CHUNK_LINE or self._excess > _MAX_CHUNK_EXCESS:
            raise h11.RemoteProtocolError("the chunk extensions are too long")


def _check_chunk_end(end: bytearray) -> None:
    if end != b"\r\n":
        raise h11.RemoteProtocolError("a chunk is longer than its size")


def _check_incomplete(data: bytearray, at: int) -> None:
    """Raise h11.RemoteProtocolError if the line at `at` can never begin a chunk."""
    if data.find(b"\r\n", at) >= 0:
        raise h11.RemoteProtocolError("a line does not begin a chunk")
    if len(data) - at > _MAX_CHUNK_LINE:
        raise h11.RemoteProtocolError("the chunk extensions are too long")
