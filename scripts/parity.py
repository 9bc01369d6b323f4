"""Writes docs/parity.md: each route, field and answer, and what this server does with it."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.openapi import document
from scripts.parity_notes import note
from tests.contract.companions import COMPANIONS
from tests.contract.published import ROUTES, Field, Route
from tests.contract.trials import (
    DONE,
    ECHOED,
    EMPTY,
    IDLE,
    MISSING,
    REFUSED,
    Finding,
    Laboratory,
    laboratory,
)

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "parity.md"
PART = "in part"

INTRODUCTION = f"""\
# Parity

This page lists every route of the published v1 Image Editing API with its fields and the fields of its answer,
in the published order, and says what profile `lite` of this server does with each. A second table has the
routes that clients call beside them. `./scripts/parity` computes the page. It compares types, defaults and
bounds with the server's OpenAPI document, and it tries each field with two requests: one with the field and one
without. These trials use exact fake models. What the real models of `lite` do not reach is a note, from
`scripts/parity_notes.py`. Where the published page gives no default or bound, the table has ours in brackets.

- "{DONE}": who uses it gets what the page promises.
- "{PART}": it works, with the limit that follows.
- "{REFUSED}": the server checks the request as published and then answers 506 `NOT_IN_PROFILE`. The text of the
  answer names the profiles that can serve the request.
- "{ECHOED}": the server checks the field and returns its value, but the result is the same.
- "{IDLE}": the server checks the field, but the answer and the result are the same.
- "{EMPTY}": the answer has the field, with an empty list or object.

The profiles `open` and `bria` have a model for every row. [models.md](models.md) says what their models are and
what has not run yet.
"""

COMPANIONS_INTRODUCTION = """\
## Routes that clients call beside them

`remove_image` removes the picture, its masks, its sids and every result made from it; their links answer 404. A
request that runs at that moment stores nothing. What another organisation registered stays. The copy of the
picture that a waiting job of `sync=false` holds is deleted when the job's turn comes. Every route that makes a
result takes `sync`, also where the page does not list it.
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


def rows(laboratory: Laboratory, openapi: Schema, routes: Sequence[Route]) -> Iterator[Row]:
    """Yield a line for each route, each of its fields, and each field of its answer.

    openapi: the OpenAPI document.
    """
    for route in routes:
        found = {field: laboratory.findings(route, field) for field in route.fields}
        name = f"`{route.method} {route.path}`"
        status = _of_route([f for some in found.values() for f in some])
        yield Row(name, "", "", "", with_note(status, note(route.path, "")))
        for field, findings in found.items():
            remark = note(route.path, field.path)
            yield _of_field(field, ours(openapi, route, field), findings, remark)
        for key, word in laboratory.answer_words(route).items():
            remark = note(route.path, f"answer.{key}")
            yield Row("", f"`{key}` (answer)", "", "", with_note(word, remark))


def with_note(status: str, remark: str) -> str:
    """Return a status with its note; what has a note is not simply done."""
    if not remark:
        return status
    return f"{PART}: {remark}" if status == DONE else f"{status}; {remark}"


def _of_route(findings: Sequence[Finding]) -> str:
    served = any(finding.status == 200 for finding in findings)
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
    bodies = operation.get("requestBody", {}).get("content", {})
    found = [
        # The objects of an urlencoded form are JSON text.
        _within(openapi, body["schema"], field.name if kind.endswith("urlencoded") else field.path)
        for kind, body in bodies.items()
    ]
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


def page() -> str:
    """Return the computed page in Markdown."""
    openapi = document()
    with tempfile.TemporaryDirectory() as folder, laboratory(Path(folder)) as trials:
        published, companions = (
            _table(rows(trials, openapi, routes)) for routes in (ROUTES, COMPANIONS)
        )
    return f"{INTRODUCTION}\n{published}\n{COMPANIONS_INTRODUCTION}\n{companions}"


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
