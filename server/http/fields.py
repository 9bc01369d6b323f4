"""Reads the fields of a request, from its query and from all three body types."""

import codecs
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import from_json
from starlette.requests import Request

from server.errors import BadRequestError, UnsupportedPictureError
from server.http.field_errors import explain, field_name
from server.http.form_names import MAX_PAIRS, gather
from server.http.multipart import boundary_of, read_parts
from server.http.processor_time import run_in_thread

Fields = dict[str, Any]
"""By field name: text, a number, a boolean, a list, a mapping, or the bytes of an uploaded file. Null and
empty fields are left out."""

_ABSENT_TEXTS = frozenset({"", "undefined", "null", "None"})
"""What forms of JavaScript and Python send for a field that has no value."""

B = TypeVar("B", bound=BaseModel)

# Commas and opening brackets. An empty list takes 3 bytes of a body, but 60 bytes of memory.
_MAX_VALUES = 100_000
# PHP escapes each slash, of which 40 MB of base64 have 640,000. 7 million escapes hold the lock for 250 ms.
_MAX_ESCAPES = 2_000_000
_MAX_LIST_TEXT = 1 << 20
"""Longest text of a list in a form; it is parsed on the event loop."""
_PIECE = 1 << 16
_READ = "fields"
"""Where the state of a request has fields that have been read."""
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_PICTURE_START = re.compile(rb"\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP", re.DOTALL)


def _read_list(value: Any) -> Any:
    if not isinstance(value, list):
        read = _read_text(value)
        value = [read] if isinstance(read, dict) and read is not value else read
    if not isinstance(value, list):
        return value
    return [_without_absent(_read_text(part)) for part in value]


def _without_absent(value: Any) -> Any:
    """Return an object without its members that have no value, at all depths."""
    if not isinstance(value, dict):
        return value
    return {n: _without_absent(part) for n, part in value.items() if not is_absent(part)}


def _read_text(value: Any) -> Any:
    if not isinstance(value, str | bytes) or len(value) > _MAX_LIST_TEXT:
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


def is_absent(value: Any) -> bool:
    """Whether a value other than free text means that its field has none."""
    if isinstance(value, str):
        return len(value) < 20 and value.strip() in _ABSENT_TEXTS
    return value is None or value == []


async def read_fields(request: Request, max_bytes: int) -> Fields:
    """Return the fields of query and body. If both have a field, the body's value is used.

    max_bytes: limit of a single part; the middleware limits the whole body. Raises BadRequestError for a
    malformed body, UnsupportedPictureError for another body type.
    """
    if (read := request.scope.setdefault("state", {}).pop(_READ, None)) is not None:
        return dict(read)
    fields: Fields = gather(request.query_params.multi_items())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and boundary_of(request):
        fields |= gather(await read_parts(request, max_bytes))
    else:
        # Joining and parsing tens of megabytes would block the event loop for too long.
        # Not `request.body()`, which keeps the bytes as long as the request.
        chunks = [chunk async for chunk in request.stream()]
        fields |= await run_in_thread(_parse, kind, chunks)
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def replace_fields(request: Request, fields: Fields) -> None:
    """Let the next `read_fields` return these fields, because the body has been read."""
    request.scope.setdefault("state", {})[_READ] = fields


def _parse(kind: str, chunks: list[bytes]) -> Fields:
    """Return the fields of a body that arrived in chunks; the chunks are removed."""
    body = b"".join(chunks)
    chunks.clear()
    if not body.strip():
        return {}
    # curl -d sends JSON with the urlencoded type, pages send it as text/plain to avoid a preflight, others
    # without a type. No form begins with a brace.
    is_json = _JSON_START.match(body, 0, _PIECE) is not None
    # Content is what its bytes say: a form does not begin as a picture does, whatever its type.
    if _PICTURE_START.match(body) or (kind.startswith("image/") and not is_json):
        raise UnsupportedPictureError(
            "The body is a picture itself; send it as the field file of a multipart/form-data body, or in"
            " base64 as the field file of a JSON object."
        )
    if kind.endswith("json") or is_json:
        return _parse_json(body)
    if kind == "application/x-www-form-urlencoded":
        return _parse_urlencoded(body)
    if kind == "multipart/form-data":
        raise BadRequestError(
            "The multipart body cannot be read: its Content-Type names no boundary."
        )
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
    """Return the value of JSON in UTF-8; raises ValueError for malformed JSON, and for an extraordinary one.

    That has over 200 levels, 100,000 values or 2,000,000 escapes.

    Twice as fast as the json module on pictures in base64. It holds the interpreter lock.
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise ValueError("too many values")
    if text.count(b"\\") > _MAX_ESCAPES:
        raise ValueError("too many escapes")
    return from_json(text.removeprefix(codecs.BOM_UTF8))


def _parse_urlencoded(body: bytes) -> Fields:
    if body.count(b"&") >= MAX_PAIRS:
        raise BadRequestError("The form has too many fields.")
    pairs = [field.partition(b"=") for field in body.split(b"&") if field]
    return gather([(_unquote(name), _unquote(value)) for name, _, value in pairs])


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


def validate(model: type[B], fields: Mapping[str, Any]) -> B:
    """Return a body model with these fields; unknown fields and those without a value are ignored.

    Raises BadRequestError, which names the first wrong field and what it must be.
    """
    known = {
        name: value
        for name, value in fields.items()
        if name in model.model_fields and _is_given(model.model_fields[name], value)
    }
    for name, value in known.items():
        if not _is_text(value):
            raise BadRequestError(f"{name} holds characters that are not text.", name)
    try:
        return model.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadRequestError(explain(model, first), field_name(first["loc"])) from error


def _is_given(field: FieldInfo, value: Any) -> bool:
    """Whether a field has a value: a prompt may be the word `null`, an empty list is a wrong one."""
    if field.annotation is str or (value == [] and field.is_required()):
        return True
    return not is_absent(value)


def _can_be_encoded(value: str) -> bool:
    """Whether a text has no surrogates; five times as fast as a search for them, or faster."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text(value: Any) -> bool:
    """Whether every text in a value can be encoded, stored and sent back."""
    if isinstance(value, str):
        return "\0" not in value and _can_be_encoded(value)
    if isinstance(value, list):
        return all(map(_is_text, value))
    if isinstance(value, dict):
        return all(_is_text(part) for pair in value.items() for part in pair)
    return True
