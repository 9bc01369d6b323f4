"""What all languages need: the address, the photographs in an example, and values as literals."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scripts.documentation.operations import Example, Photo

ADDRESS = "http://127.0.0.1:8000"
_IN_BRACES = re.compile(r"\{(\w+)\}")


def key_of(example: Example) -> str:
    """Return the name of the value that the path takes from the answer to the first request."""
    (name,) = _IN_BRACES.findall(example.path)
    return str(name)


def has_photo(example: Example) -> bool:
    """Whether the example, or its first request, sends a photograph."""
    own = any(True for _ in photos(dict(example.fields)))
    return own or (example.first is not None and has_photo(example.first))


def photos(value: Any) -> Iterator[Photo]:
    """Yield the photographs in a value, in lists and objects too."""
    if isinstance(value, Photo):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from photos(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from photos(inner)


def literal(
    value: Any,
    picture: Callable[[Photo], str],
    mapping: Callable[[list[tuple[str, str]]], str],
    booleans: Mapping[bool, str],
    items: str = "[{}]",
) -> str:
    """Return a value as a literal of a language. items: how it writes lists."""

    def inner(one: Any) -> str:
        return literal(one, picture, mapping, booleans, items)

    if isinstance(value, Photo):
        return picture(value)
    if isinstance(value, bool):
        return booleans[value]
    if isinstance(value, Mapping):
        return mapping([(json.dumps(name), inner(one)) for name, one in value.items()])
    if isinstance(value, list):
        return items.format(", ".join(map(inner, value)))
    return json.dumps(value)
