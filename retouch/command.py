"""The command `retouch`: runs the server, edits pictures, and administers data. Exit codes: see `run`."""

import logging
import os
import sys

import typer

from models.variables import tidy_credentials
from retouch.data_folder import choose_data_folder
from retouch.lazy import LazyGroup

app = typer.Typer(
    cls=LazyGroup,
    help="Run a Retouch server, edit pictures with it or without one, and administer its data."
    " Settings are RETOUCH_ variables.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _root() -> None:
    """Run a Retouch server, edit pictures with it or without one, and administer its data."""


def run() -> None:
    """Run the command and exit.

    The status is 0 after success; 1 if something failed or is unavailable, or there is nothing to do it to;
    2 if an argument or a setting is invalid.
    """
    tidy_credentials(os.environ)
    choose_data_folder(os.environ)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    app(prog_name="retouch")
