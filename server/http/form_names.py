"""Builds the fields of a form from its names: lists and objects as PHP, qs, axios and Rails write them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from server.errors import BadRequestError

Key = str | int | None
"""One step into a field: the name in an object, the index in a list, or None for `[]`, its next item."""

MAX_PAIRS = 2048
"""Limit of names in a form: the 255 objects of a list with eight values each."""
_MAX_ROOTS = 64
_MAX_NAME = 256
_MAX_DEPTH = 8
# An index of more digits is no index. A dot after the field's own name must be before an index, so that
# `image.x`, which browsers send for an image button, is another field.
_STEP = r"\[[^\[\]]*\]"
_NAME = re.compile(rf"([^\[\].]+)((?:{_STEP}|\.[0-9]{{1,4}}(?![^.\[]))(?:{_STEP}|\.[^\[\].]+)*)\Z")
_KEY = re.compile(r"\[([^\[\]]*)\]|\.([^\[\].]+)")
_INDEX = re.compile(r"[0-9]{1,4}\Z")


class _Indexed(dict[Key, Any]):
    """A list whose items come with their index, in any order."""


def gather(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a form: text or bytes, or lists and mappings of them.

    A repeated name is a list, and so are `a[]`, `a[0]` and `a.0`; `a[0][b]` and `a[0].b` are the `b` of
    an object in a list. Items are in the order of their indexes, and gaps are closed. `a[][b]` belongs
    to the last object, or to a new one if that has a `b` already. Raises BadRequestError for more than
    2048 names, 64 fields or 8 levels, and for names of which one makes another impossible.
    """
    fields: dict[Key, Any] = {}
    for count, (name, value) in enumerate(pairs):
        path = _path(name)
        root = str(path[0])
        if count >= MAX_PAIRS or (len(fields) >= _MAX_ROOTS and root not in fields):
            raise BadRequestError("The form has too many fields.")
        if len(path) > _MAX_DEPTH:
            raise BadRequestError(f"{root[:64]} has more than {_MAX_DEPTH} levels.", root[:64])
        if len(path) > 1 and value == "":
            continue  # like a field that is empty as a whole
        try:
            _insert(fields, path, value)
        except (LookupError, TypeError) as error:
            raise BadRequestError(
                f"{root[:64]} is sent in ways that contradict each other.", root[:64]
            ) from error
    return {str(name): _finish(value) for name, value in fields.items()}


def _path(name: str) -> list[Key]:
    """Return the keys in a name: `changes`, 0, `mask_id` for `changes[0][mask_id]`."""
    match = _NAME.match(name) if len(name) <= _MAX_NAME else None
    if match is None:
        return [name]
    texts = (bracketed or dotted for bracketed, dotted in _KEY.findall(match[2]))
    return [match[1], *(_key(text) for text in texts)]


def _key(text: str) -> Key:
    if not text:
        return None
    return int(text) if _INDEX.match(text) else text


def _insert(fields: dict[Key, Any], path: Sequence[Key], value: Any) -> None:
    """Put a value at its place; raises LookupError or TypeError if another value excludes it."""
    root, *keys = path
    if not keys:
        if root not in fields:
            fields[root] = value
            return
        keys = [None]
    if root not in fields:
        fields[root] = _container(keys[0])
    elif keys == [None] and isinstance(fields[root], str | bytes):
        fields[root] = [fields[root]]
    at = fields[root]
    for index, key in enumerate(keys[:-1]):
        at = _enter(at, key, keys[index + 1 :])
    _put(at, keys[-1], value)


def _container(key: Key) -> Any:
    """Return an empty container of the kind that has such a key."""
    if key is None:
        return []
    return _Indexed() if isinstance(key, int) else {}


def _check_kind(at: Any, key: Key) -> None:
    if type(at) is not type(_container(key)):
        raise TypeError("not a container of this kind")


def _enter(at: Any, key: Key, rest: Sequence[Key]) -> Any:
    """Return the container under `key`; it is created if there is none."""
    _check_kind(at, key)
    if isinstance(at, list):
        if not at or _has(at[-1], rest):
            at.append(_container(rest[0]))
        return at[-1]
    return at.setdefault(key, _container(rest[0]))


def _has(at: Any, keys: Sequence[Key]) -> bool:
    """Whether there is a value at the end of `keys` already; the next item of a list never is."""
    for key in keys:
        if key is None or not isinstance(at, dict) or key not in at:
            return False
        at = at[key]
    return True


def _put(at: Any, key: Key, value: Any) -> None:
    _check_kind(at, key)
    if isinstance(at, list):
        at.append(value)
    elif key in at:
        raise LookupError("two values at one place")
    else:
        at[key] = value


def _finish(value: Any) -> Any:
    """Return a value with plain lists instead of indexed ones."""
    if isinstance(value, list):
        return [_finish(item) for item in value]
    if isinstance(value, _Indexed):
        return [_finish(item) for _, item in sorted(value.items())]
    if isinstance(value, dict):
        return {str(name): _finish(item) for name, item in value.items()}
    return value
