"""What the OpenAPI document says of bodies that come as JSON, multipart or urlencoded alike."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from server.intake import PictureRule
from server.operation import Operation


def picture_body(body: type[BaseModel], pictures: Sequence[PictureRule]) -> dict[str, Any]:
    """Describe a body of fields and pictures for all three content types."""
    text = _schema(body, pictures, {"type": "string", "description": "The picture in base64."})
    file = _schema(body, pictures, {"type": "string", "format": "binary"})
    return {
        "content": {
            "application/json": {"schema": text},
            "multipart/form-data": {"schema": file},
            "application/x-www-form-urlencoded": {"schema": text},
        },
    }


def describe(operation: Operation[Any]) -> dict[str, Any]:
    """Describe what an operation takes, in its path, its query or its body."""
    told: dict[str, Any] = {}
    if operation.of_visual:
        told["parameters"] = [
            {"name": "visual_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    if operation.method == "GET":
        properties = operation.body.model_json_schema().get("properties", {})
        told["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in properties.items()
        ]
    else:
        told["requestBody"] = picture_body(operation.body, operation.pictures)
    return told


def _schema(
    body: type[BaseModel], pictures: Sequence[PictureRule], file: dict[str, Any]
) -> dict[str, Any]:
    address = {"type": "string", "description": "The picture's address; a data: URL serves too."}
    properties: dict[str, Any] = {}
    for rule in pictures:
        properties[rule.url_fields[0]] = address
        properties[rule.file_fields[0]] = file
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    required = {"required": schema["required"]} if "required" in schema else {}
    return {
        "type": "object",
        "properties": properties | schema.get("properties", {}),
        **required,
    }
