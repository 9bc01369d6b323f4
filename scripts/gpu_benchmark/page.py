"""The page of a run: targets first, then the tables, written again after each row, so that nothing is lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.gpu_benchmark.targets import TARGETS, Target
from scripts.pages import between_markers

BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
NOT_A_MEASUREMENT = "Tiny models on the processor: not a measurement of a GPU"
_TARGETS = "| target | wanted | measured | reached |\n|---|---|---|---|"


@dataclass
class Page:
    """The text of a run. path: the file, with the two markers or without anything; None only prints."""

    path: Path | None
    real: bool
    head: str = ""
    values: dict[Target, float] = field(default_factory=dict)
    sections: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, table: str, line: str) -> None:
        """Print a line of a section and write the page; table: the first lines of its table."""
        lines = self.sections.setdefault(section, [])
        if not lines:
            lines.append(table)
            print(f"\n#### {section}\n\n{table}")
        lines.append(line)
        print(line, flush=True)
        self._write()

    def reach(self, target: Target, value: float) -> None:
        """Note what was measured for a target."""
        self.values[target] = value
        print(target.line(value, self.real), flush=True)
        self._write()

    def text(self) -> str:
        """Return the whole as Markdown."""
        parts = [self.head, "#### Targets", "\n".join([_TARGETS, *targets(self.values, self.real)])]
        for section, lines in self.sections.items():
            parts += [f"#### {section}", "\n".join(lines)]
        return "\n\n".join(parts)

    def _write(self) -> None:
        if self.path is None:
            return
        before = self.path.read_text() if self.path.exists() else ""
        text = self.text() + "\n"
        if BEGIN in before:
            text = between_markers(before, self.text(), BEGIN, END)
        # Renamed, so that a run that is killed leaves a whole page.
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(text)
        new.replace(self.path)


def targets(values: Mapping[Target, float], real: bool) -> list[str]:
    """Return one row for each target."""
    return [target.line(values.get(target), real) for target in TARGETS]
