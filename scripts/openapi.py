"""The OpenAPI document of the application, and its file in the documentation."""

from pathlib import Path

from retouch.openapi import as_text, document

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"

__all__ = ["FILE", "as_text", "document"]
