"""`retouch doctor`: check whether a server would work here, and say what is missing."""

import json
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from retouch.checks import Finding, State, all_findings
from retouch.secrets import Secrets

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red"}


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, the machine, the weights, the port and what the settings name. Status 1: a problem."""
    secrets = Secrets(os.environ)
    findings = [finding.without(secrets) for finding in all_findings()]
    is_well = all(finding.state is not State.PROBLEM for finding in findings)
    if as_json:
        rows = [
            {"name": one.name, "state": one.state.value, "text": one.text, **one.details}
            for one in findings
        ]
        typer.echo(json.dumps({"ok": is_well, "checks": rows}, indent=2, ensure_ascii=False))
    else:
        Console(highlight=False, markup=False, emoji=False).print(_table(findings))
    raise typer.Exit(0 if is_well else 1)


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        table.add_row(one.state.value, one.name, one.text, style=_COLOURS[one.state])
    return table
