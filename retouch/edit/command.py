"""The command `retouch edit`: one subcommand for each operation, whose options are the fields of its route."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from models.catalog.profile import load_profile
from models.errors import (
    InvalidSettingsError,
    UnknownDeviceError,
    UnknownProfileError,
    WeightsUnavailableError,
)
from models.processors import usable_processors
from models.settings import read_settings
from retouch.edit.batch import EditRequest, Summary, edit_all
from retouch.edit.connection import Connection, StopError, connect, in_process
from retouch.edit.operations import EditOperation, edit_operations, find_operation
from retouch.edit.options import (
    REMOTE_JOBS,
    Choices,
    common_parameters,
    field_parameter,
    picture_parameter,
)
from retouch.edit.plan import Plan, PlanError, Task, locked, make_plan
from retouch.failures import fail
from server.errors import BadRequestError
from server.http.fields import validate
from server.settings import Settings

_STOPPED = 130


class OperationGroup(TyperGroup):
    """The operations as subcommands, made when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the operations."""
        return list(edit_operations())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the subcommand of an operation, also by the path of its route; None if there is none."""
        found = find_operation(cmd_name)
        return None if found is None else command_of(found)


app = typer.Typer(
    cls=OperationGroup,
    help="Edit pictures: `retouch edit remove-background in.jpg -o out.png`. An operation of v1 is called by"
    " the path of its route, such as background/remove.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    subcommand_metavar="OPERATION IN... -o OUT",
)


@app.callback()
def _root() -> None:
    """Edit pictures."""


def command_of(edit: EditOperation) -> Any:
    """Return the subcommand of an operation."""
    own = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    summary = edit.operation.summary
    own.command(edit.name, help=_help(edit), short_help=summary)(_function(edit))
    command = typer.main.get_command(own)
    command.name = edit.name
    return command


def _help(edit: EditOperation) -> str:
    return f"{edit.operation.summary}: {edit.operation.method} {edit.operation.url}."


def _function(edit: EditOperation) -> Callable[..., None]:
    """Return what runs an operation, with a signature from which typer makes the options."""
    common = list(inspect.signature(Choices).parameters)

    def run(**given: Any) -> None:
        choices = Choices(**{name: given.pop(name) for name in common})
        _run(edit, choices, given)

    parameters = [
        *common_parameters(edit),
        *(picture_parameter(name, rule.is_mask) for name, rule in edit.further_pictures.items()),
        *(field_parameter(field) for field in edit.fields),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _run(edit: EditOperation, choices: Choices, given: dict[str, Any]) -> None:
    """Run an operation on all pictures, and end with status 0, 1 if some failed, or 2 if it cannot be meant."""
    settings = _settings()
    request = _request(edit, given)
    try:
        plan = make_plan(
            choices.inputs or [],
            choices.output,
            recursive=choices.recursive,
            needs_picture=edit.needs_picture,
        )
        with locked(plan):
            status = _edit_plan(plan, request, choices, settings)
    except PlanError as error:
        raise fail(str(error), 2) from None
    except (OSError, StopError, WeightsUnavailableError) as error:
        raise fail(str(error)) from None
    except (UnknownProfileError, UnknownDeviceError) as error:
        raise fail(str(error), 2) from None
    except KeyboardInterrupt:
        raise fail("Stopped. The same command with --resume goes on.", _STOPPED) from None
    raise typer.Exit(status)


def _settings() -> Settings:
    try:
        settings = read_settings(Settings)
        load_profile(settings.profile)
    except InvalidSettingsError as error:
        raise fail(str(error), 2) from None
    except UnknownProfileError as error:
        raise fail(f"weights: {error}", 2) from None
    return settings


def _request(edit: EditOperation, given: dict[str, Any]) -> EditRequest:
    """Return the request of all pictures; ends the command with status 2 if a field is invalid."""
    rules = edit.further_pictures
    pictures = {
        rule.file_fields[0]: given.pop(name)
        for name, rule in rules.items()
        if given.get(name) is not None or given.pop(name, None)
    }
    missing = [
        name
        for name, rule in rules.items()
        if rule.required and rule.file_fields[0] not in pictures
    ]
    if missing:
        raise fail(f"--{missing[0]}: this operation needs a {missing[0]}.", 2)
    fields = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
        if value is not None
    }
    try:
        body = validate(edit.operation.body, fields)
    except BadRequestError as error:
        raise fail(error.text, 2) from None
    operation = edit.operation
    return EditRequest(edit, fields, pictures, operation.is_many or operation.count(body) > 1)


def _edit_plan(plan: Plan, request: EditRequest, choices: Choices, settings: Settings) -> int:
    """Edit the pictures that are left, and return the exit status."""
    left = [
        task
        for task in plan.tasks
        if not (choices.resume and task.result(is_numbered=request.is_numbered))
    ]
    began = time.monotonic()
    summary = Summary()
    if left:
        console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        summary = asyncio.run(_edit_left(plan, left, request, choices, settings, console))
    _tell(plan, summary, len(plan.tasks) - len(left), time.monotonic() - began)
    return 1 if summary.failed else 0


async def _edit_left(
    plan: Plan,
    left: list[Task],
    request: EditRequest,
    choices: Choices,
    settings: Settings,
    console: Console,
) -> Summary:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    is_shown = plan.folder is not None and console.is_terminal
    jobs = choices.jobs or (REMOTE_JOBS if choices.server else usable_processors())
    jobs = min(jobs, len(left))
    async with _connection(request, choices, settings, plan, jobs) as connection:
        with Progress(*columns, console=console, disable=not is_shown) as progress:
            bar = progress.add_task(request.operation.name, total=len(left))

            def report(task: Task, text: str | None) -> None:
                if text is not None:
                    console.print(f"{task.label}: {text}")
                progress.advance(bar)

            return await edit_all(connection, request, left, jobs, report)


def _connection(
    request: EditRequest, choices: Choices, settings: Settings, plan: Plan, jobs: int
) -> AbstractAsyncContextManager[Connection]:
    if choices.server is not None:
        return connect(choices.server.rstrip("/"), choices.token)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    exact = plan.tasks[0].exact
    ending = exact.suffix.lower().lstrip(".").replace("jpg", "jpeg") if exact else ""
    wanted = ending if ending in ("png", "jpeg", "webp") else None
    is_job = request.operation.operation.is_always_asynchronous
    return in_process(settings, jobs, wanted, has_jobs=is_job)


def _tell(plan: Plan, summary: Summary, skipped: int, seconds: float) -> None:
    """Say on stderr what was done, and under which name if that is not the one that was asked for."""
    exact = plan.tasks[0].exact
    if plan.folder is None:
        for path in summary.written:
            note = "" if path == exact else f" (not {exact}: the result is of this kind)"
            typer.echo(f"{path}{note}: {seconds:.1f} s", err=True)
        if skipped:
            typer.echo("The result is there already.", err=True)
        return
    parts = [f"{summary.done} done"]
    parts += [f"{skipped} there already"] * bool(skipped)
    parts += [f"{len(summary.failed)} failed"] * bool(summary.failed)
    typer.echo(f"{', '.join(parts)} in {seconds:.1f} s; results in {plan.folder}", err=True)
