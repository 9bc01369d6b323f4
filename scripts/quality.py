"""Measures what people see in the results, on photographs out of packages; writes docs/quality.md."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.processors import usable_processors
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from scripts.pages import between_markers
from scripts.quality_measures.enlarging import measure_enlarging
from scripts.quality_measures.faces import measure_faces
from scripts.quality_measures.figures import Figures, Values
from scripts.quality_measures.holes import measure_holes
from scripts.quality_measures.masks import measure_masks
from scripts.quality_measures.matting_run import measure_matting
from scripts.quality_measures.photographs import HALVES, Half, Photographs
from scripts.quality_measures.report import report
from scripts.quality_measures.run import Run
from scripts.quality_measures.sources import fetch, packages

ROOT = Path(__file__).parents[1]
MEASURES: dict[str, Callable[[Run], dict[Half, Values]]] = {
    "matting": measure_matting,
    "faces": measure_faces,
    "masks": measure_masks,
    "holes": measure_holes,
    "enlarging": measure_enlarging,
}


PAGE = ROOT / "docs" / "quality.md"
BEFORE = ROOT / "scripts" / "quality_measures" / "before.json"
"""What `--save` wrote at the state that a run is compared with."""
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and write them into the page."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    partly = chosen.quick or chosen.only or chosen.half or chosen.match or chosen.photos
    page = chosen.into or (None if partly or chosen.profile != "lite" else PAGE)
    if page is not None:
        try:  # fail now, not after minutes of measuring
            between_markers(page.read_text(), "", BEGIN, END)
        except (OSError, ValueError) as error:
            parser.error(f"{page}: {error}")
    figures = measure(_run(chosen), chosen.only or list(MEASURES))
    text = report(figures, Figures.load(chosen.before))
    print(text)
    if page is not None:
        page.write_text(between_markers(page.read_text(), text, BEGIN, END))
    if chosen.save is not None:
        figures.save(chosen.save)
    return 0


def measure(run: Run, names: Sequence[str]) -> Figures:
    """Return what the named measures find."""
    figures = Figures()
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures.add(name, MEASURES[name](run))
    return figures


def _run(chosen: argparse.Namespace) -> Run:
    """Return the run that the arguments ask for; fetch the photographs and make the models."""
    folder = chosen.photos or chosen.data / "quality" / "photos"
    if chosen.photos is None:
        for failure in fetch(folder, packages()):
            print(f"Left out: {failure}", file=sys.stderr)
    if chosen.look is not None:
        chosen.look.mkdir(parents=True, exist_ok=True)
    weights = (chosen.weights or chosen.data / "weights").absolute()
    return Run(
        photos=Photographs(folder),
        models=LocalEngine(Pool.for_profile(chosen.profile, weights, usable_processors())),
        weights=weights,
        quick=chosen.quick,
        rembg=None if chosen.alone else chosen.rembg,
        look=chosen.look,
        half=chosen.half,
        match=chosen.match,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little: a smoke run")
    parser.add_argument("--only", nargs="+", choices=MEASURES, help="only these measures")
    parser.add_argument("--profile", default=os.environ.get("RETOUCH_PROFILE") or "lite")
    parser.add_argument("--photos", type=Path, help="folder with the photographs; fetches none")
    parser.add_argument("--half", choices=HALVES, help="only this half of the photographs")
    parser.add_argument("--match", default="", help="only what has this in its name")
    parser.add_argument("--look", type=Path, help="folder that keeps the pictures, to look at")
    parser.add_argument("--alone", action="store_true", help="measure without rembg")
    parser.add_argument("--rembg", type=Path, help="the Python of an environment with rembg")
    parser.add_argument("--into", type=Path, help="page to write into")
    parser.add_argument("--save", type=Path, help="JSON file to write the values into")
    parser.add_argument("--before", type=Path, default=BEFORE, help="JSON file to compare with")
    parser.add_argument("--weights", type=Path, help="folder of weights")
    data = Path(os.environ.get("RETOUCH_DATA_DIR") or ROOT / "data")
    parser.add_argument("--data", type=Path, default=data, help="folder for the photographs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
