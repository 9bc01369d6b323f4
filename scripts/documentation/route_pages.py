"""Writes a page for each operation into the staged site; see docs/decisions/0029-the-docs-site.md.

Everything but two sentences of each page comes from the OpenAPI document, the tables of the server and the
templates of the languages. So the pages are made when the site is built and are in no commit: nothing goes stale.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.documentation.availability import (
    PROFILES,
    limits_of,
    operation_of,
    profiles_of,
    works_in_lite,
)
from scripts.documentation.error_catalogue import anchor, codes, entries_of
from scripts.documentation.fields import Document, table
from scripts.documentation.languages import LANGUAGES
from scripts.documentation.more_operations import GROUPS
from scripts.documentation.operations import OperationPage

FOLDER = "operations"
PICTURES = "images/operations"
_WHOLE = "Example programs that also wait when a server is busy are on the page of [the client](../client.md)."


class UnlistedRouteError(Exception):
    """A route of the OpenAPI document has no page, or a page has a route that does not exist."""


def write_pages(root: Path, source: Path) -> dict[str, list[str]]:
    """Write the pages into a staged site and return their paths there, by group, the index under "".

    Raises UnlistedRouteError if pages and routes do not fit together.
    """
    document = Document(json.loads((root / "docs" / "openapi.json").read_text()))
    check_routes(document)
    folder = source / FOLDER
    folder.mkdir()
    for pages in GROUPS.values():
        for one in pages:
            has_picture = (source / PICTURES / f"{one.slug}.webp").exists()
            (folder / f"{one.slug}.md").write_text(page(one, document, has_picture))
    (folder / "index.md").write_text(index())
    paths = {"": [f"{FOLDER}/index.md"]}
    for group, pages in GROUPS.items():
        paths[group] = [f"{FOLDER}/{one.slug}.md" for one in pages]
    return paths


def check_routes(document: Document) -> None:
    """Raise UnlistedRouteError unless every route is on one page."""
    listed = [route for pages in GROUPS.values() for one in pages for route in one.routes]
    for route in document.routes() ^ set(listed):
        raise UnlistedRouteError(f"{route}: give it a page in scripts/documentation/operations.py")
    if len(listed) != len(set(listed)):
        raise UnlistedRouteError("a route is on two pages")


def index() -> str:
    """Return the page with the list of all operations."""
    lines = [
        "# Operations",
        "",
        "Each page has the fields, an example in five languages, and what can go wrong.",
    ]
    lines.append("")
    for group, pages in GROUPS.items():
        lines += [f"## {group}", "", "| operation | routes | profiles |", "|---|---|---|"]
        for one in pages:
            routes = "<br>".join(f"`{route}`" for route in one.routes)
            profiles = ", ".join(profiles_of(one.routes[0]))
            lines.append(f"| [{one.title}]({one.slug}.md) | {routes} | {profiles} |")
        lines.append("")
    return "\n".join(lines)


def page(one: OperationPage, document: Document, has_picture: bool) -> str:
    """Return the text of a page. has_picture: whether docs/ has one of its example."""
    parts = [f"# {one.title}", one.about]
    if has_picture:
        parts.append(
            f"![The picture of the example, and its result](../{PICTURES}/{one.slug}.webp)"
        )
        parts.append(
            "The result is that of the example below, made by a server with profile `lite`."
        )
    parts += ["## Routes", _routes(one)]
    parts += _limits(one)
    if one.example is not None:
        parts += ["## Example", _example(one)]
    parts.append("## Fields")
    for route in one.routes:
        fields = document.fields(route)
        parts += [f"### `{route}`", table(fields) if fields else "It has no fields."]
    parts += ["## Answer", *_answers(one, document)]
    parts += ["## What can go wrong", _errors(one, document)]
    return "\n\n".join(parts) + "\n"


def _routes(one: OperationPage) -> str:
    rows = [f"| route | {' | '.join(PROFILES)} |", "|---|" + "---|" * len(PROFILES)]
    for route in one.routes:
        works = profiles_of(route)
        cells = ["yes" if profile in works else "506" for profile in PROFILES]
        rows.append(f"| `{route}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _limits(one: OperationPage) -> Iterator[str]:
    """Yield what the routes cannot do in a profile that has them."""
    for profile in PROFILES:
        texts = dict.fromkeys(text for route in one.routes for text in limits_of(route, profile))
        if texts:
            yield f"Limits of profile `{profile}`: {'; '.join(texts)}."


def _example(one: OperationPage) -> str:
    assert one.example is not None  # noqa: S101 - the caller has looked
    tabs = []
    for name, (language, program) in LANGUAGES.items():
        lines = [f"```{language}", *program(one.example).splitlines(), "```"]
        tabs.append(f'=== "{name}"\n\n' + "\n".join(f"    {line}".rstrip() for line in lines))
    start = "For a server on this machine, in the folder of the project."
    if one.example.accept is not None:
        start += " With `Accept` the answer is the file itself; without it, JSON with a link."
    if not works_in_lite(one.example):
        start += " Profile `lite` answers it with 506."
    return f"{start}\n\n" + "\n\n".join(tabs) + f"\n\n{_WHOLE}"


def _answers(one: OperationPage, document: Document) -> Iterator[str]:
    """Yield what a success is, once for routes with equal answers."""
    known: dict[str, list[str]] = {}
    for route in one.routes:
        fields = document.answers(route)
        rows = ["| field | type | meaning |", "|---|---|---|"]
        rows += [f"| {field.name} | {field.type} | {field.meaning} |" for field in fields]
        known.setdefault("\n".join(rows) if fields else "", []).append(route)
    for rows_text, routes in known.items():
        names = ", ".join(f"`{route}`" for route in routes)
        if rows_text:
            yield f"The JSON of {names}:\n\n{rows_text}"
        else:
            yield f"{names}: the file, or a JSON value that the [reference](../openapi.json) describes."
    operations = [operation_of(route) for route in one.routes]
    if any(operation is not None and operation.version == "v2" for operation in operations):
        yield (
            "Without `sync` and without `Accept`, version 2 answers 202 with `request_id` and `status_url`;"
            " [the state](status.md) then has the result."
        )


def _errors(one: OperationPage, document: Document) -> str:
    rows = ["| code | cause | remedy |", "|---|---|---|"]
    for code in _codes(one.routes, document):
        found = {
            entry.cause: entry for route in one.routes for entry in entries_of(code, route)
        }.values()
        for entry in found:
            rows.append(
                f"| [{code}](../errors.md#{anchor(code)}) `{entry.status}` | {entry.cause} | {entry.remedy} |"
            )
    if len(rows) == 2:
        return "Nothing that the API answers: it has no error of its own."
    return "\n".join(rows)


def _codes(routes: Sequence[str], document: Document) -> list[int]:
    found = {code for route in routes for code in document.codes(route)}
    return sorted(found & set(codes()))
