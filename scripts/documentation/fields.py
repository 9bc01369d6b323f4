"""The fields of a route as a table, from the OpenAPI document: name, type, default, range and meaning."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
_NAMES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
_PLURALS = {
    "text": "texts",
    "whole number": "whole numbers",
    "number": "numbers",
    "object": "objects",
}
_UNBOUNDED = 2**62
"""From here on a bound is only that of 64 bits."""


@dataclass(frozen=True)
class Field:
    """A row of the table; every part is text for a page."""

    name: str
    type: str
    default: str
    range: str
    meaning: str


class Document:
    """Reads fields out of an OpenAPI document."""

    def __init__(self, document: Schema) -> None:
        self._document = document

    def operation(self, route: str) -> Schema:
        """Return the part of a route, such as `POST /v1/crop`; raises KeyError if there is none."""
        method, path = route.split()
        found: Schema = self._document["paths"][path][method.lower()]
        return found

    def routes(self) -> set[str]:
        """Return all routes of the document."""
        return {
            f"{method.upper()} {path}"
            for path, methods in self._document["paths"].items()
            for method in methods
        }

    def fields(self, route: str) -> list[Field]:
        """Return the parameters of a route, then the fields of its body; headers are left out."""
        operation = self.operation(route)
        found = [
            self._field(
                one["name"], {**one["schema"], **_described(one)}, one.get("required", False)
            )
            for one in operation.get("parameters", [])
            if one["in"] != "header"
        ]
        named = {field.name for field in found}
        content = operation.get("requestBody", {}).get("content", {})
        body = self._resolved(content.get("application/json", {}).get("schema", {}))
        required = body.get("required", [])
        found += [
            self._field(name, schema, name in required)
            for name, schema in body.get("properties", {}).items()
            if name not in named
        ]
        return sorted(found, key=lambda field: field.default != "required")

    def answers(self, route: str) -> list[Field]:
        """Return the fields of the JSON of a success."""
        responses = self.operation(route)["responses"]
        content = responses.get("200", responses.get("202", {})).get("content", {})
        schema = self._resolved(content.get("application/json", {}).get("schema", {}))
        properties = schema.get("properties", {})
        return [self._field(name, one, False) for name, one in properties.items()]

    def codes(self, route: str) -> list[int]:
        """Return the status codes of the errors of a route, in order."""
        return sorted(
            int(code)
            for code in self.operation(route)["responses"]
            if code.isdigit() and int(code) >= 400
        )

    def _field(self, name: str, schema: Schema, required: bool) -> Field:
        whole = self._resolved(schema)
        default = "required" if required else _value(whole["default"]) if "default" in whole else ""
        kinds = [kind for kind in self._kinds(whole) if kind.get("type") != "null"]
        return Field(
            f"`{name}`",
            " or ".join(dict.fromkeys(filter(None, map(self._type, kinds)))),
            default,
            "; ".join(dict.fromkeys(filter(None, map(self._range, kinds)))),
            _cell(whole.get("description") or self._description(kinds)),
        )

    def _description(self, kinds: list[Schema]) -> str:
        return next((str(one["description"]) for one in kinds if "description" in one), "")

    def _resolved(self, schema: Schema) -> Schema:
        """Return a schema without a reference at its top; what stands beside the reference has precedence."""
        if "$ref" not in schema:
            return schema
        target: Any = self._document
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return {**self._resolved(target), **rest}

    def _kinds(self, schema: Schema) -> Iterator[Schema]:
        """Yield the alternatives of a schema."""
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if not alternatives:
            yield schema
            return
        for one in alternatives:
            yield from self._kinds(self._resolved(one))

    def _type(self, schema: Schema) -> str:
        kind = schema.get("type", "")
        if kind == "array":
            items = [*schema.get("prefixItems", [])[:1]] or [schema.get("items", {})]
            inner = next(iter(self._kinds(self._resolved(items[0]))), {})
            return f"list of {_PLURALS.get(self._type(inner), 'values')}"
        return _NAMES.get(str(kind), str(kind))

    def _range(self, schema: Schema) -> str:
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return ", ".join(map(_value, values))
        if schema.get("type") == "array":
            return self._list_range(schema)
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and high is not None:
            return f"{low:,} to {high:,}" if abs(high) < _UNBOUNDED else "64 bits"
        if low is not None or high is not None:
            return f"at least {low:,}" if low is not None else f"at most {high:,}"
        if "maxLength" in schema:
            return f"at most {schema['maxLength']:,} characters"
        return ""

    def _list_range(self, schema: Schema) -> str:
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        items = self._resolved((schema.get("prefixItems") or [schema.get("items", {})])[0])
        inner = "; ".join(filter(None, map(self._range, self._kinds(items))))
        count = f"{least} values" if least == most else f"{least} to {most} values" if most else ""
        return f"{count}, each {inner}" if count and inner else count or inner


def table(fields: list[Field]) -> str:
    """Return fields as a table in Markdown."""
    rows = ["| field | type | default | range | meaning |", "|---|---|---|---|---|"]
    rows += [
        f"| {one.name} | {one.type} | {one.default} | {one.range} | {one.meaning} |"
        for one in fields
    ]
    return "\n".join(rows)


def _described(parameter: Schema) -> Schema:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _value(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
