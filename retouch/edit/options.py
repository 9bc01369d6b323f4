"""The options of `retouch edit` as parameters of a function, from which typer makes the command."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from retouch.edit.operations import EditOperation, FieldOption

REMOTE_JOBS = 4
"""Pictures that are sent to a server at once, unless `--jobs` says otherwise."""


@dataclass(frozen=True)
class Choices:
    """The options that every operation has."""

    inputs: list[str] | None
    output: str | None
    recursive: bool
    jobs: int | None
    resume: bool
    server: str | None
    token: str


def _parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def common_parameters(edit: EditOperation) -> list[inspect.Parameter]:
    """Return the parameters of `Choices`, in the words of an operation."""
    pictures = typer.Argument(
        metavar="IN..." if edit.needs_picture else "[IN]...",
        help="Pictures, folders of pictures, or - for stdin.",
        show_default=False,
    )
    output = typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A file, a folder, or - for stdout.",
        show_default=False,
    )
    recursive = typer.Option("--recursive", help="Look into the folders of a folder too.")
    jobs = typer.Option(
        "--jobs",
        min=1,
        max=256,
        help=f"Pictures at once. Default: one for each processor; {REMOTE_JOBS} with --server.",
        show_default=False,
    )
    resume = typer.Option(
        "--resume", help="Leave out the pictures whose results an earlier run has written."
    )
    server = typer.Option(
        "--server",
        metavar="URL",
        help="Send the pictures to a server instead of editing them here.",
    )
    token = typer.Option(
        "--token", envvar="RETOUCH_EDIT_TOKEN", help="A token of the server.", show_default=False
    )
    return [
        _parameter("inputs", Annotated[list[str] | None, pictures]),
        _parameter("output", Annotated[str | None, output]),
        _parameter("recursive", Annotated[bool, recursive], False),
        _parameter("jobs", Annotated[int | None, jobs]),
        _parameter("resume", Annotated[bool, resume], False),
        _parameter("server", Annotated[str | None, server]),
        _parameter("token", Annotated[str, token], "retouch"),
    ]


def picture_parameter(name: str, is_mask: bool) -> inspect.Parameter:
    """Return the option of a further picture of an operation."""
    which = "White is edited, black is kept. " if is_mask else ""
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        exists=True,
        metavar="FILE",
        help=f"{which}A picture file, or a folder with one of the same name for each picture.",
        show_default=False,
    )
    return _parameter(name, Annotated[Path | None, option])


def field_parameter(field: FieldOption) -> inspect.Parameter:
    """Return the option of a field of a route."""
    switch = f"{field.option}/--no-{field.option.removeprefix('--')}"
    option = typer.Option(
        switch if field.is_switch else field.option,
        metavar=None if field.is_switch else field.kind,
        help=field.help,
        show_default=False,
    )
    if field.is_switch:
        return _parameter(field.name, Annotated[bool | None, option])
    if field.is_required:
        return _parameter(field.name, Annotated[str, option], inspect.Parameter.empty)
    return _parameter(field.name, Annotated[str | None, option])
