"""`retouch serve`: run the server in the foreground, as `python -m server` does."""

import os
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, for RETOUCH_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, for RETOUCH_PORT.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="lite, cpu, sdxl, open, studio, bria or a .toml, for RETOUCH_PROFILE."),
    ] = None,
) -> None:
    """Run the server until Ctrl-C. All settings are RETOUCH_ variables (docs/settings.md)."""
    for name, value in (("HOST", host), ("PORT", port), ("PROFILE", profile)):
        if value is not None:
            os.environ[f"RETOUCH_{name}"] = str(value)
    from server.__main__ import main

    raise typer.Exit(main())
