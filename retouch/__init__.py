"""The command `retouch`: administers a server's data, also while the server runs. Exit codes: see `main`."""

import logging
import os
import sys

import typer

from models.variables import tidy_credentials
from retouch import tokens

app = typer.Typer(
    help="Administer a Retouch server. It reads the same RETOUCH_ variables as the server.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(tokens.app, name="tokens")


@app.callback()
def _root() -> None:
    """Administer a Retouch server."""


def main() -> None:
    """Run the command and exit.

    The status is 0 after success, 1 if the database or the store is unavailable or there is nothing to
    do it to, and 2 if an argument or a setting is invalid.
    """
    tidy_credentials(os.environ)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    app(prog_name="retouch")
