"""Messages about wrong fields: they say in plain English what the field must be."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_MUST_BE = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite whole number",
    "string": "text",
    "model": "an object",
    "dict": "an object",
    "literal": "{expected}",
    "greater": "at least {ge}",
    "less": "at most {le}",
}
"""By the first word of pydantic's error type: what the value must be."""
_MUST_HAVE = {
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
}
_ONE = {"integer": "whole number", "number": "number", "string": "text", "object": "object"}
"""By the type in a JSON schema: the name of one such value."""


def explain(model: type[BaseModel], error: ErrorDetails) -> str:
    """Return one sentence about a validation error of `model`, without Python types."""
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    name = field_name(location)
    if kind == "value_error":
        return f"{name}: {str(context['error']).rstrip('.')}."
    if of_list := _list_at_fault(model, kind, location):
        return f"{field_name(location[:1])} must be {of_list}."
    if kind == "missing":
        return f"{name} is required."
    if kind in _MUST_HAVE:
        wanted = _MUST_HAVE[kind].format_map(context)
        return f"{name} must have {_singular(wanted)}."
    wanted = _MUST_BE.get(kind.partition("_")[0], "another value")
    return f"{name} must be {wanted.format_map(context)}."


def field_name(location: Sequence[int | str]) -> str:
    """Return the name of a field: `changes.0.id` for the id in the first of the changes."""
    return ".".join(map(str, location)) or "body"


def _singular(wanted: str) -> str:
    """Return the text with its noun in the singular if the number is 1."""
    return wanted.removesuffix("s") if " 1 " in wanted else wanted


def _list_at_fault(model: type[BaseModel], kind: str, location: Sequence[int | str]) -> str | None:
    """Return what a list must be if the value is not a list or has the wrong length; else None."""
    schema = _schema(model)["properties"].get(location[0], {}) if location else {}
    options = [schema, *schema.get("anyOf", ())]
    array = next((part for part in options if part.get("type") == "array"), None)
    if array is None:
        return None
    least, most = array.get("minItems"), array.get("maxItems")
    is_whole = len(location) == 1 and kind in ("tuple_type", "list_type")
    is_size = least == most and (kind == "too_long" or (kind == "missing" and len(location) == 2))
    if not is_whole and not is_size:
        return None
    item = _ONE[(array.get("prefixItems") or [array["items"]])[0].get("type", "object")]
    return f"a list of {least} {item}s" if least == most else f"a list of {item}s"


@cache
def _schema(model: type[BaseModel]) -> Mapping[str, Any]:
    return model.model_json_schema()
