"""Writes docs/parity.md: each route, field and answer, and what this server does with it."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.openapi import document
from scripts.parity_notes import note
from scripts.parity_texts import (
    COMPANIONS_INTRODUCTION,
    INTRODUCTION,
    LATER_INTRODUCTION,
    NOT_SERVED_INTRODUCTION,
    PART,
    V2_INTRODUCTION,
)
from tests.contract.companions import COMPANIONS, LATER
from tests.contract.outcomes import DONE, MISSING, REFUSED, Finding
from tests.contract.published import ROUTES
from tests.contract.published_v2 import NOT_SERVED, ROUTES_V2, STATUS
from tests.contract.route import Field, Route
from tests.contract.trials import Laboratory, laboratory

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "parity.md"
_TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "integers": "array",
    "objects": "array",
    "object": "object",
    "json": "string",
    "decimal": "number",
}

Schema = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    route: str
    field: str
    default: str
    bound: str
    status: str


def rows(laboratory: Laboratory, openapi: Schema, routes: Sequence[Route]) -> Iterator[Row]:
    """Yield a line for each route, each of its fields, and each field of its answer.

    openapi: the OpenAPI document.
    """
    for route in routes:
        found = {field: laboratory.findings(route, field) for field in route.fields}
        name = f"`{route.method} {route.url.removeprefix('/v1')}`"
        status = _of_route([f for some in found.values() for f in some])
        yield Row(name, "", "", "", with_note(status, note(route.path, "")))
        for field, findings in found.items():
            remark = note(route.path, field.path)
            yield _of_field(field, ours(openapi, route, field), findings, remark)
        yield from _of_answer(laboratory, route)


def later_rows(laboratory: Laboratory, openapi: Schema) -> Iterator[Row]:
    """Yield a line for each route with fields that the published page does not list, and for each of them."""
    for route, fields in LATER:
        yield Row(f"`{route.method} {route.path}`", "", "", "", "")
        for field in fields:
            findings = laboratory.findings(route, field)
            remark = note(route.path, field.path)
            yield _of_field(field, ours(openapi, route, field), findings, remark)


def _of_answer(laboratory: Laboratory, route: Route) -> Iterator[Row]:
    for key, word in laboratory.answer_words(route).items():
        remark = note(route.path, f"answer.{key}")
        yield Row("", f"`{key}` (answer)", "", "", with_note(word, remark))


def with_note(status: str, remark: str) -> str:
    """Return a status with its note; what has a note is not simply done."""
    if not remark:
        return status
    return f"{PART}: {remark}" if status == DONE else f"{status}; {remark}"


def _of_route(findings: Sequence[Finding]) -> str:
    served = any(finding.status in (200, 202) for finding in findings)
    refused = any(finding.status == 506 for finding in findings)
    if served and refused:
        return f"{PART}: the rest {REFUSED}"
    return DONE if served else REFUSED


def _of_field(field: Field, schema: Schema | None, findings: Sequence[Finding], remark: str) -> Row:
    if schema is None:
        return Row("", f"`{field.path}`", _value(field.default), "", MISSING)
    faults = differences(field, schema)
    words = [f"{found.about}: {found.word}" if found.about else found.word for found in findings]
    return Row(
        "",
        f"`{field.path}`" + (f" ({field.place})" if field.place != "body" else ""),
        _with_ours(_value(field.default), _value(schema.get("default") or None)),
        _with_ours(_published_bound(field), _our_bound(schema)),
        with_note("; ".join(["differs: " + fault for fault in faults] or words), remark),
    )


def _with_ours(published: str, ours_: str) -> str:
    return published or (f"({ours_})" if ours_ else "")


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = list(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _published_bound(field: Field) -> str:
    words = ", ".join(field.enum)
    numbers = "" if field.low is None else f"{field.low:g} to {field.high:g}"
    if numbers and field.whole:
        numbers += ", whole"
    return f"{words}; {numbers}" if words and numbers else words or numbers


def _our_bound(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return "64 bits" if high > 2**62 else f"{low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    longest = schema.get("maxLength")
    return f"at most {longest} characters" if longest else ""


def differences(field: Field, schema: Schema) -> list[str]:
    """Return where our description of a field contradicts the published one."""
    kinds = _alternatives(schema)
    words = {str(word) for kind in kinds for word in kind.get("enum", ())}
    found = []
    if field.type in _TYPES and _TYPES[field.type] not in {kind.get("type") for kind in kinds}:
        found.append(f"type {[kind.get('type') for kind in kinds]}")
    default = schema.get("default")
    if field.default not in (None, tuple(default) if isinstance(default, list) else default):
        found.append(f"default {default}")
    if field.type == "strings" and {"string", "array"} - {kind.get("type") for kind in kinds}:
        found.append(f"type {[kind.get('type') for kind in kinds]}")
    if not set(field.enum) <= words:
        found.append(f"words {sorted(words)}")
    for name, bound in (("minimum", field.low), ("maximum", field.high)):
        if bound is not None and bound not in [kind.get(name) for kind in kinds]:
            found.append(f"{name} {[kind.get(name) for kind in kinds]}")
    whole = field.type == "word or number" and "integer" in {kind.get("type") for kind in kinds}
    if whole != field.whole:
        found.append(f"whole {whole}")
    return found


def _alternatives(schema: Schema) -> list[Schema]:
    return [schema, *schema.get("anyOf", ())]


def ours(openapi: Schema, route: Route, field: Field) -> Schema | None:
    """Return a field of our document; None if it is missing from any of the body types."""
    operation = openapi["paths"].get(route.url, {}).get(route.method.lower())
    if operation is None:
        return None
    if field.place != "body":
        for parameter in operation.get("parameters", ()):
            if (parameter["in"], parameter["name"]) == (field.place, field.name):
                return dict(parameter["schema"])
        return None
    bodies = operation.get("requestBody", {}).get("content", {})
    found = [
        # The objects of an urlencoded form are JSON text.
        _within(openapi, body["schema"], field.name if kind.endswith("urlencoded") else field.path)
        for kind, body in bodies.items()
    ]
    return None if not found or None in found else found[0]


def _within(openapi: Schema, schema: Schema, path: str) -> Schema | None:
    """Return the schema of a field by its path through objects and lists."""
    here: Schema | None = schema
    for step in ("", *path.replace("[]", ".[]").split(".")):
        if step and here is not None:
            here = here.get("items") if step == "[]" else here.get("properties", {}).get(step)
        if here is not None and "$ref" in here:
            here = openapi["components"]["schemas"][here["$ref"].rpartition("/")[2]]
    return here


def page() -> str:
    """Return the computed page in Markdown."""
    openapi = document()
    with tempfile.TemporaryDirectory() as folder, laboratory(Path(folder)) as trials:
        published, companions, second = (
            _table(rows(trials, openapi, routes))
            for routes in (ROUTES, COMPANIONS, (*ROUTES_V2, STATUS))
        )
        later = _table(later_rows(trials, openapi))
    return "\n".join(
        [
            INTRODUCTION,
            published,
            COMPANIONS_INTRODUCTION,
            companions,
            LATER_INTRODUCTION,
            later,
            V2_INTRODUCTION,
            second,
            NOT_SERVED_INTRODUCTION,
            _not_served(),
        ]
    )


def _not_served() -> str:
    """Return the list of routes of version 2 that this server leaves out."""
    lines = (
        f"- {subject}: {', '.join(f'`/v2{path}`' for path in paths)}"
        for subject, paths in NOT_SERVED.items()
    )
    return "\n".join(lines) + "\n"


def _table(lines: Iterable[Row]) -> str:
    head = ["| route | field | default | bounds | status |", "|---|---|---|---|---|"]
    body = [
        f"| {row.route} | {row.field} | {row.default} | {row.bound} | {row.status} |"
        for row in lines
    ]
    return "\n".join([*head, *body]) + "\n"


def main() -> None:
    """Write docs/parity.md."""
    TABLE.write_text(page())


if __name__ == "__main__":
    main()
