"""Reads the fields of a request, from its query and from all three body types."""

import codecs
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import anyio.to_thread
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from server.errors import BadRequestError, UnsupportedPictureError
from server.http.field_errors import explain, field_name

Fields = dict[str, Any]
"""By field name: text, a number, a boolean, a list, a mapping, or the bytes of an uploaded file. Null and
empty fields are left out."""

B = TypeVar("B", bound=BaseModel)

_MAX_FIELDS = 64
# Commas and opening brackets. An empty list takes 3 bytes of a body, but 60 bytes of memory.
_MAX_VALUES = 100_000
_PIECE = 1 << 16
_PICTURE_SIGNATURES = ("\x89PNG", "\xff\xd8\xff", "RIFF")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _read_list(value: Any) -> Any:
    if isinstance(value, list):
        return [_read_text(part) for part in value]
    read = _read_text(value)
    return [read] if isinstance(read, dict) and read is not value else read


def _read_text(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        read = _load_json(value.encode() if isinstance(value, str) else value)
    except ValueError:
        return value
    if not _is_text(read):  # JSON escapes can hide characters from the check in `validate`
        raise ValueError("it holds characters that are not text")
    return read


FormList = BeforeValidator(_read_list)
"""Parses a list of objects from the JSON text in a form: one field for the list, or one for each object."""


async def read_fields(request: Request, max_bytes: int) -> Fields:
    """Return the fields of query and body. If both have a field, the body's value is used.

    max_bytes: limit of a single part; the middleware limits the whole body. Raises BadRequestError for a
    malformed body, UnsupportedPictureError for another body type.
    """
    query = request.query_params
    if len(query) > _MAX_FIELDS:
        raise BadRequestError("The query has too many fields.")
    fields: Fields = _gather(query.multi_items())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        fields |= await _multipart(request, max_bytes)
    else:
        # Parsing tens of megabytes would block the event loop for too long.
        fields |= await anyio.to_thread.run_sync(_parse, kind, await request.body())
    return {n: value for n, value in fields.items() if value is not None and value not in ("", [])}


async def _multipart(request: Request, max_bytes: int) -> Fields:
    try:
        async with request.form(
            max_files=8, max_fields=_MAX_FIELDS, max_part_size=max_bytes
        ) as form:
            pairs = [
                (name, await value.read() if isinstance(value, UploadFile) else _unmask(value))
                for name, value in form.multi_items()
            ]
    except HTTPException as error:
        raise BadRequestError(f"The multipart body cannot be read: {error.detail}") from error
    except ValueError as error:  # an unknown charset, or a part that is not in it
        raise BadRequestError("The multipart body cannot be read.") from error
    return _gather(pairs)


def _unmask(value: str) -> str | bytes:
    """Return the bytes of a picture if its part had no filename and was read as Latin-1 text."""
    if value.startswith(_PICTURE_SIGNATURES):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value
    return value


def _parse(kind: str, body: bytes) -> Fields:
    if not body.strip():
        return {}
    braced = body.lstrip()[:1] == b"{"
    # curl -d sends JSON with the urlencoded type by default. No form begins with a brace.
    if kind.endswith("json") or (braced and kind in ("", "application/x-www-form-urlencoded")):
        return _parse_json(body)
    if kind == "application/x-www-form-urlencoded":
        return _parse_urlencoded(body)
    raise UnsupportedPictureError(
        "The body must be application/json, multipart/form-data or"
        " application/x-www-form-urlencoded."
    )


def _parse_json(body: bytes) -> Fields:
    try:
        fields = _load_json(body)
    except ValueError as error:
        raise BadRequestError(
            "The body is not JSON, or not of an ordinary size and depth."
        ) from error
    if not isinstance(fields, dict):
        raise BadRequestError("The body must be a JSON object.")
    return fields


def _load_json(text: bytes) -> Any:
    """Return the value of JSON in UTF-8; raises ValueError, also for over 200 levels or 100,000 values.

    Twice as fast as the json module on pictures in base64. It holds the interpreter lock.
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise ValueError("too many values")
    return from_json(text.removeprefix(codecs.BOM_UTF8))


def _parse_urlencoded(body: bytes) -> Fields:
    if body.count(b"&") >= _MAX_FIELDS:
        raise BadRequestError("The urlencoded body has too many fields.")
    pairs = [field.partition(b"=") for field in body.split(b"&") if field]
    return _gather([(_unquote(name), _unquote(value)) for name, _, value in pairs])


def _unquote(text: bytes) -> str:
    """Return a decoded name or value; bytes that are not UTF-8 become U+FFFD.

    In pieces, because the decoder makes an object of 40 bytes for each escape of 3 bytes.
    """
    decoded = bytearray()
    at = 0
    while at < len(text):
        end = at + _PIECE
        escape = text.rfind(b"%", end - 2, end)
        if escape >= 0:  # it can continue after the end of the piece
            end = escape
        decoded += unquote_to_bytes(text[at:end].replace(b"+", b" "))
        at = end
    return decoded.decode(errors="replace")


def _gather(pairs: list[tuple[str, Any]]) -> Fields:
    """Return the fields; repeated names and names that end in `[]` become lists."""
    fields: Fields = {}
    for name, value in pairs:
        key = name.removesuffix("[]")
        if key in fields or key != name:
            earlier = fields.get(key, [])
            fields[key] = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        else:
            fields[key] = value
    return fields


def validate(model: type[B], fields: Mapping[str, Any]) -> B:
    """Return a body model with these fields; unknown fields are ignored.

    Raises BadRequestError, which names the first wrong field and what it must be.
    """
    known = {name: value for name, value in fields.items() if name in model.model_fields}
    for name, value in known.items():
        if not _is_text(value):
            raise BadRequestError(f"{name} holds characters that are not text.", name)
    try:
        return model.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadRequestError(explain(model, first), field_name(first["loc"])) from error


def _is_text(value: Any) -> bool:
    """Whether every text in a value can be encoded, stored and sent back."""
    if isinstance(value, str):
        return not _SURROGATE.search(value) and "\0" not in value
    if isinstance(value, list):
        return all(map(_is_text, value))
    if isinstance(value, dict):
        return all(_is_text(part) for pair in value.items() for part in pair)
    return True
