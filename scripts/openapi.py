"""Writes docs/openapi.json, the OpenAPI document of the application."""

import json
import tempfile
from pathlib import Path
from typing import Any

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def document() -> dict[str, Any]:
    """Return the document of the application, which depends on no setting and no model."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(data_dir=Path(folder)), FakeModels()).openapi()


def as_text(openapi: dict[str, Any]) -> str:
    """Return a document as text; the same content always makes the same text."""
    return json.dumps(openapi, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(document()))
