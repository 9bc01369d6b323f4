"""What the measures find: values by measure, half and name, as JSON and as a table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.quality_measures.photographs import Half

Values = dict[str, float]
"""One measure on one half: each value by its name."""


@dataclass
class Figures:
    """The values of a run, by measure and half."""

    of: dict[str, dict[Half, Values]] = field(default_factory=dict)

    def add(self, measure: str, halves: Mapping[Half, Values]) -> None:
        """Add what a measure found; values of the same name are replaced."""
        for half, values in halves.items():
            self.of.setdefault(measure, {}).setdefault(half, {}).update(values)

    def get(self, measure: str, half: Half, name: str) -> float | None:
        """Return a value, or None if it was not measured."""
        return self.of.get(measure, {}).get(half, {}).get(name)

    def save(self, file: Path) -> None:
        """Write them as JSON, rounded to five decimals."""
        rounded = {
            measure: {
                half: {name: round(value, 5) for name, value in values.items()}
                for half, values in halves.items()
            }
            for measure, halves in self.of.items()
        }
        file.write_text(json.dumps(rounded, indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> "Figures":
        """Read what `save` wrote."""
        return cls(json.loads(file.read_text()))
