"""Reads the parts of multipart/form-data bodies (RFC 7578, RFC 2046)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from server.errors import BadRequestError
from server.http.form_names import MAX_PAIRS
from server.http.processor_time import run_in_thread
from server.http.transfer_encoding import decode_transfer, is_plain

_MAX_FILES = 8
_MAX_CONTENT_TYPE = 1024
_PICTURE_SIGNATURES = ("\x89PNG", "\xff\xd8\xff", "RIFF")


class _Parser(MultiPartParser):
    """Starlette's parser, which also notes how each part is encoded, and whether the body is complete.

    It keeps parts in memory, as other kinds of bodies are: their size is limited, and a disk may be full.

    transfer_encodings: of each of `items`, in lower case; empty if the part names none.
    """

    spool_max_size = 0  # SpooledTemporaryFile never writes to the disk then

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.transfer_encodings: list[str] = []
        self.is_complete = False

    def on_part_end(self) -> None:
        """Note the encoding of the part."""
        super().on_part_end()
        headers = dict(self._current_part.item_headers)
        encoding = headers.get(b"content-transfer-encoding", b"").decode("latin-1")
        self.transfer_encodings.append(encoding.strip().lower())

    def on_end(self) -> None:
        """Note that the last boundary was read."""
        super().on_end()
        self.is_complete = True


def boundary_of(request: Request) -> bytes:
    """Return the boundary that the Content-Type names; empty if it names none, or is unusually long."""
    content_type = request.headers.get("content-type", "")
    if len(content_type) > _MAX_CONTENT_TYPE:  # the parser takes a millisecond for 200 options
        return b""
    _, options = parse_options_header(content_type)
    return options.get(b"boundary", b"")


async def read_parts(request: Request, max_bytes: int) -> list[tuple[str, str | bytes]]:
    """Return the name and the value of each part: text, or bytes for a part with a filename.

    max_bytes: limit of a part without a filename. Raises BadRequestError.
    """
    try:
        async with aclosing(request.stream()) as stream:
            parser = _Parser(
                request.headers,
                _without_preamble(stream, boundary_of(request)),
                max_files=_MAX_FILES,
                max_fields=MAX_PAIRS,
                max_part_size=max_bytes,
            )
            form = await parser.parse()
    except MultiPartException as error:
        reason = error.message.rstrip(".")
        raise BadRequestError(f"The multipart body cannot be read: {reason}.") from error
    except ValueError as error:  # an unknown charset, or a part that is not in it
        raise BadRequestError("The multipart body cannot be read.") from error
    try:
        if not parser.is_complete:
            raise BadRequestError("The multipart body ends before its last boundary.")
        items = zip(form.multi_items(), parser.transfer_encodings, strict=True)
        return [
            (name, await _read(name, value, encoding))
            for (name, value), encoding in items
            if not _is_empty_input(value)
        ]
    finally:
        await form.close()


async def _without_preamble(
    stream: AsyncGenerator[bytes, None], boundary: bytes
) -> AsyncGenerator[bytes, None]:
    """Yield a body from its first boundary on; the parser accepts no text before it."""
    delimiter = b"\r\n--" + boundary
    held = b"\r\n"  # the first boundary may be the start of the body
    async for chunk in stream:
        held += chunk
        start = held.find(delimiter)
        if start >= 0:
            yield held[start:]
            break
        held = held[1 - len(delimiter) :]
    async for chunk in stream:
        yield chunk


def _is_empty_input(value: str | UploadFile) -> bool:
    """Whether a part is what a browser sends for a file input without a file."""
    return isinstance(value, UploadFile) and not value.filename and not value.size


async def _read(name: str, value: str | UploadFile, encoding: str) -> str | bytes:
    """Return the value of a part; raises BadRequestError if it is not encoded as its header says."""
    if isinstance(value, str):
        if is_plain(encoding):
            return _unmask(value)
        decoded = await _decode(name, value.encode(), encoding)
        try:
            return decoded.decode()
        except UnicodeDecodeError:
            return decoded
    data = await value.read()
    return data if is_plain(encoding) else await _decode(name, data, encoding)


async def _decode(name: str, data: bytes, encoding: str) -> bytes:
    try:
        return await run_in_thread(decode_transfer, data, encoding)
    except ValueError as error:
        raise BadRequestError(
            f"{name[:64]} cannot be read with the Content-Transfer-Encoding of its part;"
            " send it as binary, base64 or quoted-printable.",
            name[:64],
        ) from error


def _unmask(value: str) -> str | bytes:
    """Return the bytes of a picture if its part had no filename and was read as Latin-1 text."""
    if value.startswith(_PICTURE_SIGNATURES):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value
    return value
