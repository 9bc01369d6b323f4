"""The operations of `retouch edit`, their names, and the options that follow from the fields of their routes."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.http.uploads import PictureRule
from server.operation import Operation
from server.operations import OPERATIONS

_PREFIXES = ("image/edit/", "image/segment/", "image/")
_SERVED = frozenset({"sync", "webhook_url"})
"""Fields about how a server answers, which the command decides."""
_LISTS = ("images", "image_url")
"""Fields of v2 that hold the picture where no rule does."""


@dataclass(frozen=True)
class FieldOption:
    """The option for one field of a route. kind: what it may hold, such as `INTEGER` or `png|jpeg`."""

    name: str
    kind: str
    description: str
    default: Any
    is_required: bool
    is_switch: bool

    @property
    def option(self) -> str:
        """The name of the option, such as `--bg-prompt`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """Return the description of the field, and its default if it has one that tells something."""
        is_plain = self.default is not None and self.default not in ("", [])
        shown = str(self.default).lower() if self.is_switch else self.default
        return f"{self.description} Default: {shown}." if is_plain else self.description


@dataclass(frozen=True)
class EditOperation:
    """One operation of the command. name: `remove-background` for v2, the path of the route for v1."""

    name: str
    operation: Operation[Any]

    @functools.cached_property
    def picture_field(self) -> str | None:
        """The field of the picture to edit; None for an operation that takes none."""
        for rule in self.operation.pictures:
            if rule.name == "image":
                return rule.file_fields[0]
        return next((name for name in _LISTS if name in self.operation.body.model_fields), None)

    @property
    def is_text(self) -> bool:
        """Whether the field of the picture is text: base64 instead of a file."""
        return self.picture_field in _LISTS

    @functools.cached_property
    def needs_picture(self) -> bool:
        """Whether no request is complete without a picture."""
        required = self.operation.body.model_json_schema().get("required", ())
        return any(rule.name == "image" for rule in self.operation.pictures) or (
            self.picture_field in required
        )

    @property
    def further_pictures(self) -> dict[str, PictureRule]:
        """The rules of the pictures besides the one to edit, by the names of their options, such as `mask`."""
        fields = self.operation.body.model_fields
        return {
            rule.file_fields[0] if rule.name in fields else rule.name: rule
            for rule in self.operation.pictures
            if rule.name != "image"
        }

    @functools.cached_property
    def fields(self) -> list[FieldOption]:
        """The options, in the order of the fields."""
        schema = self.operation.body.model_json_schema()
        required = schema.get("required", ())
        left_out = _SERVED | set(_LISTS)
        return [
            FieldOption(
                name,
                _kind(part),
                part.get("description", ""),
                part.get("default"),
                name in required,
                _kind(part) == "BOOLEAN",
            )
            for name, part in schema["properties"].items()
            if name not in left_out
        ]


def _kind(schema: Mapping[str, Any]) -> str:
    """Return what a field may hold, for the help."""
    if "anyOf" in schema:
        kinds = [_kind(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return "|".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type")
    if kind in ("integer", "number", "boolean"):
        return str(kind).upper()
    return "TEXT" if kind == "string" else "JSON"


@functools.cache
def edit_operations() -> Mapping[str, EditOperation]:
    """Return the operations by name: first those of v2, then those of v1 under their paths.

    Not those on a registered picture: a picture that is registered belongs to one server.
    """
    found = {}
    for version in ("v2", "v1"):
        for operation in OPERATIONS:
            is_stateless = not (operation.of_visual or operation.registers)
            if operation.version == version and is_stateless:
                name = _name(operation)
                found[name] = EditOperation(name, operation)
    return found


def find_operation(name: str) -> EditOperation | None:
    """Return an operation by its name or by the path of its route, with or without the version."""
    operations = edit_operations()
    text = name.strip("/")
    if text in operations:
        return operations[text]
    if (hyphens := text.replace("_", "-")) in operations:
        return operations[hyphens]
    for operation in operations.values():
        if text in (operation.operation.path.strip("/"), operation.operation.url.strip("/")):
            return operation
    return operations.get(text.removeprefix("v1/"))


def _name(operation: Operation[Any]) -> str:
    parts = [part for part in operation.path.strip("/").split("/") if not part.startswith("{")]
    path = "/".join(parts)
    if operation.version == "v1":
        return path
    for prefix in _PREFIXES:
        if path.startswith(prefix):
            path = path.removeprefix(prefix)
            break
    else:
        path = path.replace("/generate", "").removeprefix("image/")
    return path.replace("_", "-").replace("/", "-")
