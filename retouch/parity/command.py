"""The command `retouch parity`: whether two servers answer a team's own pictures alike."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Annotated, cast

import typer

from models.log_lines import printable
from retouch.failures import fail
from retouch.parity import page
from retouch.parity.comparing import Comparison, compare
from retouch.parity.observing import Observer
from retouch.parity.plan import (
    DEFAULT_OPERATIONS,
    Case,
    Mode,
    chosen,
    make_plan,
    pictures_in,
)
from retouch.secrets import HIDDEN
from server.errors import FetchFailedError
from server.http.url_guard import parse_url

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MAX_PICTURE_BYTES = 40 * 2**20
"""Of the pictures to send; the whole of a request is in memory."""
_TOKENS = "RETOUCH_PARITY_TOKENS"


class Modes(StrEnum):
    """How the operations that have both forms are called."""

    ASYNC = "async"
    SYNC = "sync"
    BOTH = "both"


Bases = Annotated[
    list[str], typer.Option(help="The address of a server; name it twice, for A and for B.")
]
Sample = Annotated[
    Path, typer.Option(help="A folder of pictures; NAME-mask.png is the mask of NAME.jpg.")
]
Tokens = Annotated[
    list[str] | None,
    typer.Option(
        help=f"The tokens, in the order of the servers; or {_TOKENS}, separated by a blank.",
        envvar=_TOKENS,
        show_default=False,
    ),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        help="A path such as v2/image/edit/erase or v1/*; may be repeated."
        f" Default: {' and '.join(DEFAULT_OPERATIONS)}."
    ),
]


@app.command()
def parity(
    base: Bases,
    sample: Sample,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of the page and its data.")
    ] = Path("data/parity"),
    token: Tokens = None,
    operation: Patterns = None,
    mode: Annotated[Modes, typer.Option(help="How to call what has both forms.")] = Modes.ASYNC,
    limit: Annotated[int, typer.Option(min=1, help="Pictures of the folder.")] = 3,
    max_requests: Annotated[
        int,
        typer.Option(min=1, help="Edits and wrong requests to each server; polls are not counted."),
    ] = 100,
    timeout: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds for each request and its results.")
    ] = 300,
    refusals: Annotated[
        bool, typer.Option(help="Whether to send requests that are wrong too.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the requests and send nothing.")
    ] = False,
) -> None:
    """Send the pictures of a folder to two servers and compare the answers.

    Status 1: status or shape of an answer differ, or a server did not answer.
    """
    bases = _bases(base)
    cases = _cases(sample, operation, mode, limit, has_refusals=refusals)
    if len(cases) > max_requests:
        raise fail(
            f"These are {len(cases)} requests to each server: allow them by --max-requests.", 2
        )
    for case in cases if dry_run else ():
        typer.echo(case.name)
    typer.echo(f"{len(cases)} requests to each of {bases[0]} and {bases[1]}", err=True)
    if dry_run:
        return
    tokens = _tokens(token)
    try:
        (output / page.PICTURES).mkdir(parents=True, exist_ok=True)
        report = asyncio.run(_compare_all(cases, bases, tokens, timeout, output))
        page.write(output, report, lambda text: _without(text, tokens))
    except OSError as error:
        raise fail(f"{output}: {error.strerror or error}") from None
    typer.echo(report.summary())
    typer.echo(f"the page is {output / page.PAGE}")
    raise typer.Exit(1 if report.breaking or report.not_compared else 0)


async def _compare_all(
    cases: Sequence[Case],
    bases: tuple[str, str],
    tokens: tuple[str, str],
    timeout_s: float,
    output: Path,
) -> page.Report:
    """Send each request to one server after the other, so that neither waits for the other."""
    began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    comparisons: list[Comparison] = []
    async with AsyncExitStack() as stack:
        observers = [Observer(*pair, timeout_s) for pair in zip(bases, tokens, strict=True)]
        for observer in observers:
            stack.push_async_callback(observer.close)
        for number, case in enumerate(cases):
            first, second = [await observer.observe(case) for observer in observers]
            made = compare(case, first, second)
            page.save_thumbnails(output, number, made.pairs)
            comparisons.append(made.light())
            _tell(comparisons[-1], tokens)
    return page.Report(bases, began, comparisons)


def _tell(one: Comparison, tokens: Sequence[str]) -> None:
    word = "BAD" if one.breaks_contract or not one.is_compared else "ok "
    typer.echo(f"{word} {one.case.name}")
    for each in one.differences:
        if each.is_contract or not one.is_compared:
            text = f"{each.what}: A {each.texts[0]}; B {each.texts[1]}"
            # A server chose its words: they must not move the cursor of this terminal.
            typer.echo(f"    {printable(_without(text, tokens))}", err=True)


def _bases(given: Sequence[str]) -> tuple[str, str]:
    if len(given) != 2:
        raise fail("Name two servers: --base A --base B.", 2)
    for one in given:
        try:
            parse_url(one, verb="called")
        except FetchFailedError as error:
            raise fail(f"--base: {error.reason}", 2) from None
    return given[0].rstrip("/"), given[1].rstrip("/")


def _tokens(given: Sequence[str] | None) -> tuple[str, str]:
    tokens = list(given or ())
    if len(tokens) != 2 or not all(one.isascii() and one.isprintable() for one in tokens):
        raise fail(f"Name two tokens, in the order of the servers: --token, or {_TOKENS}.", 2)
    return tokens[0], tokens[1]


def _cases(
    sample: Path, patterns: Sequence[str] | None, mode: Modes, limit: int, *, has_refusals: bool
) -> list[Case]:
    """Return the requests; ends the command with status 2 if there is nothing to send."""
    modes = cast("list[Mode]", ["async", "sync"] if mode is Modes.BOTH else [mode.value])
    try:
        operations = chosen(patterns or DEFAULT_OPERATIONS)
        pictures = pictures_in(sample, limit)
        large = [one for one in pictures if one.stat().st_size > MAX_PICTURE_BYTES]
    except ValueError as error:
        raise fail(f"--operation {error}", 2) from None
    except OSError as error:
        raise fail(f"{sample}: {error.strerror or error}", 2) from None
    if large:
        raise fail(f"{large[0]} has more than {MAX_PICTURE_BYTES // 2**20} MiB.", 2)
    if not pictures:
        raise fail(f"{sample} has no JPEG, PNG or WebP file.", 2)
    return make_plan(operations, pictures, modes, has_refusals=has_refusals)


def _without(text: str, tokens: Sequence[str]) -> str:
    """Return a text without the tokens, also as JSON and HTML write them: a server may repeat one in its error."""
    forms = {
        form for one in tokens if len(one) > 2 for form in (one, json.dumps(one)[1:-1], escape(one))
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text
