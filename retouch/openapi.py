"""`retouch openapi`: print the OpenAPI document of the application."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from retouch.failures import fail
from server.app import create_app
from server.settings import Settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def document() -> dict[str, Any]:
    """Return the document of the application, which depends on no setting and no model."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_construct(data_dir=Path(folder))
        return create_app(settings, LocalEngine(Pool({}, Path(folder)))).openapi()


def as_text(openapi: dict[str, Any]) -> str:
    """Return a document as text; the same content always makes the same text."""
    return json.dumps(openapi, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@app.command()
def openapi(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file to write instead of printing.")
    ] = None,
) -> None:
    """Print the OpenAPI document, as a server answers it at /openapi.json."""
    text = as_text(document())
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{output}: {error.strerror}") from None
