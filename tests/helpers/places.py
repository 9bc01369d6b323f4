"""Where tests find things, and the secret that their Ray clusters share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "docs" / "photos"
RAY_TOKEN = "only-this-machine-knows-this-token"
