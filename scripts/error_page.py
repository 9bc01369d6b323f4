"""Writes docs/errors.md: each status code of the API, its causes and their remedies.

`python -m scripts.error_page` makes it from scripts/documentation/error_catalogue.py and the tables of errors
in the server; a test holds the page equal to them.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.documentation.error_catalogue import ENTRIES, codes, heading
from server import errors
from server.errors import GENERAL_REFUSALS, Refusals
from server.operations import OPERATIONS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
_INTRODUCTION = """\
# Errors

<!-- Made by `python -m scripts.error_page`; change scripts/documentation/error_catalogue.py instead. -->

Every error has a status code and a text that says what to do. Read the text first: it names the field, the
figures and the setting. This page has each code, what causes it, and the remedy.

In version 1 the body is `code`, `description`, `message`, `error`, `status`, `request_id`, and `parameter` where
one field is wrong. In version 2 it is `error` with `code`, `message` and `details`, and `request_id` beside it.
The tables name the `status` of version 1. By its [`request_id`](logs.md#find-a-complaint) an operator finds a
request in the log.

| code | may the same request be sent again? |
|---|---|
| 429, 503 | yes, after the seconds in `Retry-After` |
| 409 | yes, after `Retry-After`, with the same key |
| 404 of a result link | yes, every second or two, until the result exists |
| 408 | yes, over a faster connection |
| 460 | yes, once the server can reach the address |
| 500 | once; then tell the operator |
| all others | no: change the request |

With an [`Idempotency-Key`](settings.md#repeated-requests) a request that is sent several times runs once. The
[Python client](client.md#when-a-request-is-sent-again) repeats 429 and 503, and waits for links. An operator sees
the last refusals and their texts at [`/admin`](admin.md).
[Decision 3](decisions/0003-status-codes.md) has the reasons for the codes.
"""
_TEXTS = """\
## Errors by their text

Some texts begin the same way wherever they occur:

| the text begins with | code | `status` | where |
|---|---|---|---|"""


def page() -> str:
    """Return the text of the page."""
    sections = [_INTRODUCTION]
    sections += [_section(code) for code in codes()]
    job = next(entry for entry in ENTRIES if entry.kind is errors.JobFailedError)
    sections.append(
        f"## The code of a failed job\n\n{job.cause} {job.remedy} (`{job.kind.__name__}`)\n"
    )
    sections.append("\n".join([_TEXTS, *_text_rows(), ""]))
    return "\n".join(sections)


def _section(code: int) -> str:
    rows = [
        f"## {heading(code)}",
        "",
        "| cause | remedy | `status` | in the code |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {entry.cause} | {entry.remedy} | `{entry.status}` | `{entry.kind.__name__}` |"
        for entry in ENTRIES
        if entry.answered == code and entry.kind is not errors.JobFailedError
    ]
    return "\n".join([*rows, ""])


def _text_rows() -> Iterator[str]:
    """Yield a row for each text that an error of a lower layer becomes."""
    where: dict[tuple[str, type[errors.ApiError]], list[str]] = defaultdict(list)
    for kind, text in GENERAL_REFUSALS.values():
        where[text, kind].append("any operation")
    for operation in OPERATIONS:
        for kind, text in _values(operation.refusals):
            where[text, kind].append(f"`{operation.url}`")
    for (text, kind), places in sorted(
        where.items(), key=lambda item: (item[0][1].code, item[0][0])
    ):
        status = next(entry.status for entry in ENTRIES if entry.kind is kind)
        yield f"| {text} | {kind.code} | `{status}` | {', '.join(dict.fromkeys(places))} |"


def _values(refusals: Refusals) -> list[tuple[type[errors.ApiError], str]]:
    return list(refusals.values())


if __name__ == "__main__":
    PAGE.write_text(page())
