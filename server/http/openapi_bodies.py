"""Describes request bodies in the OpenAPI document, so that generators of clients make usable classes."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from server.http.uploads import PictureRule

Schema = dict[str, Any]

_HOW_MASKS_ARE_READ = (
    " White is edited, black is kept; brush strokes on a transparent canvas are edited, whatever their colour."
    " A mask that marks nothing is refused."
)
_BODY_ENDS = {
    "application/json": "_body",
    "multipart/form-data": "_form",
    "application/x-www-form-urlencoded": "_urlencoded",
}
"""By content type: the end of the name of a body's schema."""


def picture_body(
    body: type[BaseModel], pictures: Sequence[PictureRule], in_path: Sequence[str] = ()
) -> Schema:
    """Return the description of a body with fields and pictures, for all three content types.

    in_path: the fields that the path holds instead of the body.
    """
    text = _schema(body, pictures, in_path, {"type": "string"}, " in base64")
    file = _schema(body, pictures, in_path, {"type": "string", "format": "binary"}, "")
    example = {
        (*rule.url_fields, *rule.file_fields)[0]: f"https://example.com/{rule.name}.png"
        for rule in pictures
        if rule.required
    }
    example |= {
        name: field.examples[0]
        for name, field in body.model_fields.items()
        if field.examples and name not in in_path
    }
    return {
        "content": {
            "application/json": {"schema": text, "example": example},
            "multipart/form-data": {"schema": file},
            "application/x-www-form-urlencoded": {"schema": _with_text_for_objects(text)},
        },
    }


def _schema(
    body: type[BaseModel],
    pictures: Sequence[PictureRule],
    in_path: Sequence[str],
    file: Schema,
    coding: str,
) -> Schema:
    properties: Schema = {}
    for rule in pictures:
        name = rule.file_fields[0]
        formats = ", ".join(sorted(rule.formats))
        about = f"The {rule.name.replace('_', ' ')}'s"
        white = _HOW_MASKS_ARE_READ if rule.is_mask else ""
        if not rule.url_fields:
            properties[name] = file | {
                "description": f"{about} address, or its file{coding}. {formats}.{white}"
            }
            continue
        address = rule.url_fields[0]
        properties[address] = {
            "type": "string",
            "description": f"{about} address; a data: URL works too. {formats}.{white}",
        }
        properties[name] = file | {
            "description": f"{about} file{coding}, if no {address} is sent. {formats}.{white}"
        }
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in in_path:
        schema["properties"].pop(name)
        schema["required"] = [one for one in schema.get("required", ()) if one != name]
    # With two names for one picture, none of them is required alone.
    alone = [rule.file_fields[0] for rule in pictures if rule.required and not rule.url_fields]
    if required := [*alone, *schema.pop("required", ())]:
        schema["required"] = required
    return schema | {"properties": properties | schema.get("properties", {})}


def _with_text_for_objects(schema: Schema) -> Schema:
    """Return a schema in which each list of objects is JSON text: a form has no objects of its own."""
    properties = {
        name: {
            "type": "string",
            "description": f"{part.get('description', '')} As JSON text.".strip(),
        }
        if "$ref" in part.get("items", {})
        else part
        for name, part in schema["properties"].items()
    }
    return schema | {"properties": properties, "$defs": {}}


def name_bodies(route: Schema, schemas: Schema) -> None:
    """Move the schemas of a body to the common schemas, each under a name of its own.

    Two content types with one schema would be one class in a generated client, which then could not
    tell how to send it.
    """
    operation = route["operationId"]
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        models = body["schema"].get("$defs", {}) | {operation + _BODY_ENDS[kind]: body["schema"]}
        for name, schema in models.items():
            kept = {
                key: schema[key] for key in schema if key not in ("title", "description", "$defs")
            }
            fields = {
                field: _share_default(operation, field, part, schemas)
                for field, part in schema["properties"].items()
            }
            schemas[name] = kept | {"properties": fields}
        body["schema"] = reference("schemas", operation + _BODY_ENDS[kind])


def _share_default(operation: str, field: str, schema: Schema, schemas: Schema) -> Schema:
    """Return a field's schema; one with a default becomes a reference to a common schema.

    openapi-typescript makes a field required if its own schema has a default. Null, empty and nested
    defaults are removed: they tell a caller nothing.
    """
    default = schema.get("default")
    plain = {key: schema[key] for key in schema if key not in ("title", "default")}
    if default in (None, "") or "$ref" in schema:
        return plain
    shared = plain | {"default": default}
    name = _class_name(field)
    if schemas.setdefault(name, shared) != shared:
        name = _class_name(operation) + name
        schemas[name] = shared
    return reference("schemas", name)


def _class_name(snake_case: str) -> str:
    return "".join(word.capitalize() for word in snake_case.split("_"))


def reference(kind: str, name: str) -> Schema:
    """Return a reference to a part of the document. kind: `schemas` or `responses`."""
    return {"$ref": f"#/components/{kind}/{name}"}
