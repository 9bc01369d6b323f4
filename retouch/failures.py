"""How a command ends after an error: with one line on stderr and an exit status."""

import typer


def fail(text: str, status: int = 1) -> typer.Exit:
    """Print an error and return what ends the command with an exit status."""
    typer.echo(text, err=True)
    return typer.Exit(status)
