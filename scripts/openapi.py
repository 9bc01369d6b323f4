"""Writes docs/openapi.json, the committed description of the API, from the application."""

import json
import tempfile
from pathlib import Path
from typing import Any

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import FakeModels

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def document() -> dict[str, Any]:
    """Return the document of the application; it depends on no setting and no model."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(data_dir=Path(folder)), FakeModels()).openapi()


def as_text(told: dict[str, Any]) -> str:
    """Write a document so that two of the same content are the same text."""
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(document()))
