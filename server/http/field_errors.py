"""What a caller is told of a field that was refused: what the field must be, in plain English."""

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
"""By the first word of pydantic's name of an error, what the value must be."""
_MUST_HAVE = {
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
}
_ONE = {"integer": "whole number", "number": "number", "string": "text", "object": "object"}
"""By the type of a JSON schema, what one such value is called."""


def explain(model: type[BaseModel], error: ErrorDetails) -> str:
    """Return one sentence on a validation error of `model`; it names no type of Python's."""
    kind, place, context = error["type"], error["loc"], error.get("ctx", {})
    name = place_name(place)
    if kind == "value_error":
        return f"{name}: {context['error']}."
    if of_list := _list_at_fault(model, kind, place):
        return f"{place_name(place[:1])} must be {of_list}."
    if kind == "missing":
        return f"{name} is required."
    if kind in _MUST_HAVE:
        wanted = _MUST_HAVE[kind].format_map(context)
        return f"{name} must have {_singular(wanted)}."
    wanted = _MUST_BE.get(kind.partition("_")[0], "another value")
    return f"{name} must be {wanted.format_map(context)}."


def place_name(place: Sequence[int | str]) -> str:
    """Return the name of a field: `changes.0.id` for the id within the first of the changes."""
    return ".".join(map(str, place)) or "body"


def _singular(wanted: str) -> str:
    """Return the text with its noun in the singular where the number is one."""
    return wanted.removesuffix("s") if " 1 " in wanted else wanted


def _list_at_fault(model: type[BaseModel], kind: str, place: Sequence[int | str]) -> str | None:
    """Return what a list must be where it is none, or has not as many items as it must."""
    schema = _schema(model)["properties"].get(place[0], {}) if place else {}
    options = [schema, *schema.get("anyOf", ())]
    array = next((part for part in options if part.get("type") == "array"), None)
    if array is None:
        return None
    least, most = array.get("minItems"), array.get("maxItems")
    is_whole = len(place) == 1 and kind in ("tuple_type", "list_type")
    is_size = least == most and (kind == "too_long" or (kind == "missing" and len(place) == 2))
    if not is_whole and not is_size:
        return None
    item = _ONE[(array.get("prefixItems") or [array["items"]])[0].get("type", "object")]
    return f"a list of {least} {item}s" if least == most else f"a list of {item}s"


@cache
def _schema(model: type[BaseModel]) -> Mapping[str, Any]:
    return model.model_json_schema()
