"""Writes the parity table: each published route and field, and what this server does with it.

`--readme` puts it between `<!-- parity -->` and `<!-- /parity -->` in README.md as well.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.openapi import document
from tests.contract.published import ROUTES, Field, Route
from tests.contract.trials import (
    DONE,
    ECHOED,
    IDLE,
    REFUSED,
    Finding,
    Laboratory,
    laboratory,
)

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "parity.md"
README = ROOT / "README.md"
START, END = "<!-- parity -->", "<!-- /parity -->"

INTRODUCTION = f"""\
# Parity

This page lists every route and field of the published v1 Image Editing API, in the published order, and says
what profile `lite` of this server does with it. `./scripts/parity` computes the page. It compares types,
defaults and bounds with the server's OpenAPI document, and it tries each field with two requests: one with
the field and one without. Where the published page gives no default or bound, the table has ours in brackets.

- "{DONE}": the field changes the result or the answer as published.
- "{REFUSED}": the server checks the request as published and then answers 506. The text of the answer names the
  profiles that can serve the request.
- "{ECHOED}": the server checks the field and returns its value, but the result is the same.
- "{IDLE}": the server checks the field, but the answer and the result are the same.
"""

_TYPES = {
    "string": "string",
    "integer": "integer",
    "boolean": "boolean",
    "integers": "array",
    "objects": "array",
    "object": "object",
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


def rows(laboratory: Laboratory, openapi: Schema) -> Iterator[Row]:
    """Yield a line for each route, then for each of its fields. openapi: the OpenAPI document."""
    for route in ROUTES:
        found = {field: laboratory.findings(route, field) for field in route.fields}
        name = f"`{route.method} {route.path}`"
        yield Row(name, "", "", "", _of_route([f for some in found.values() for f in some]))
        for field, findings in found.items():
            yield _of_field(field, ours(openapi, route, field), findings)


def _of_route(findings: Sequence[Finding]) -> str:
    served = any(finding.status == 200 for finding in findings)
    refused = any(finding.status == 506 for finding in findings)
    if served and refused:
        return f"{DONE} in part; the rest {REFUSED}"
    return DONE if served else REFUSED


def _of_field(field: Field, schema: Schema | None, findings: Sequence[Finding]) -> Row:
    if schema is None:
        return Row("", f"`{field.path}`", _value(field.default), "", "missing")
    faults = differences(field, schema)
    words = [f"{found.about}: {found.word}" if found.about else found.word for found in findings]
    return Row(
        "",
        f"`{field.path}`" + (f" ({field.place})" if field.place != "body" else ""),
        _with_ours(_value(field.default), _value(schema.get("default") or None)),
        _with_ours(_published_bound(field), _our_bound(schema)),
        "; ".join(["differs: " + fault for fault in faults] or words),
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
    """Return a field of our document; None if it is missing from any of the three body types."""
    operation = openapi["paths"].get(f"/v1{route.path}", {}).get(route.method.lower())
    if operation is None:
        return None
    if field.place != "body":
        for parameter in operation.get("parameters", ()):
            if (parameter["in"], parameter["name"]) == (field.place, field.name):
                return dict(parameter["schema"])
        return None
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    found = [_within(openapi, body["schema"], field.path) for body in bodies]
    if len(found) != 3 or None in found:
        return None
    return found[0]


def _within(openapi: Schema, schema: Schema, path: str) -> Schema | None:
    """Return the schema of a field by its path through objects and lists."""
    here: Schema | None = schema
    for step in ("", *path.replace("[]", ".[]").split(".")):
        if step and here is not None:
            here = here.get("items") if step == "[]" else here.get("properties", {}).get(step)
        if here is not None and "$ref" in here:
            here = openapi["components"]["schemas"][here["$ref"].rpartition("/")[2]]
    return here


def table() -> str:
    """Return the computed table in Markdown."""
    with tempfile.TemporaryDirectory() as folder, laboratory(Path(folder)) as trials:
        lines = [
            f"| {row.route} | {row.field} | {row.default} | {row.bound} | {row.status} |"
            for row in rows(trials, document())
        ]
    head = ["| route | field | default | bounds | status |", "|---|---|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def page(body: str) -> str:
    """Return the page of the table."""
    return f"{INTRODUCTION}\n{body}"


def between_markers(text: str, body: str) -> str:
    """Return a text with the table between its markers; without markers the text does not change."""
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    return f"{head}{START}\n{body}{END}{tail}" if start and end else text


def main() -> None:
    """Write docs/parity.md, and README.md with --readme."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="write into README.md as well")
    arguments = parser.parse_args()
    body = table()
    TABLE.write_text(page(body))
    if arguments.readme:
        README.write_text(between_markers(README.read_text(), body))


if __name__ == "__main__":
    main()
