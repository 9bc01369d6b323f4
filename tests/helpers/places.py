"""Folders that tests read, and the token of their Ray clusters."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "docs" / "photos"
RAY_TOKEN = "only-this-machine-knows-this-token"
