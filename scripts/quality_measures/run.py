"""What every measure of a run gets."""

from dataclasses import dataclass
from pathlib import Path

from models.roles import Models
from scripts.quality_measures.photographs import Half, Photographs


@dataclass(frozen=True)
class Run:
    """One run. quick: measure little, for tests. weights: folder of weights. look: where pictures are kept.

    rembg: the Python of rembg's environment, or None to leave rembg out. look: or None to keep none.
    half: measure only this half. match: measure only what has this in its name.
    """

    photos: Photographs
    models: Models
    weights: Path
    quick: bool = False
    rembg: Path | None = None
    look: Path | None = None
    half: Half | None = None
    match: str = ""

    def wants(self, name: str, half: Half) -> bool:
        """Whether something is measured."""
        return self.match in name and self.half in (None, half)
