"""Measures what people see in the results, on photographs out of packages; writes docs/quality.md."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.runtime.pool import Pool
from scripts.quality_measures.enlarging import measure_enlarging
from scripts.quality_measures.faces import measure_faces
from scripts.quality_measures.figures import Figures, Values
from scripts.quality_measures.holes import measure_holes
from scripts.quality_measures.masks import measure_masks
from scripts.quality_measures.matting_run import measure_matting
from scripts.quality_measures.photographs import HALVES, Half, Photographs
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the values, and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data"))
    parser.add_argument("--quick", action="store_true", help="measure little: a smoke run")
    parser.add_argument("--only", nargs="+", choices=MEASURES, help="only these measures")
    parser.add_argument("--profile", default=os.environ.get("RETOUCH_PROFILE") or "lite")
    parser.add_argument("--photos", type=Path, help="folder with the photographs; fetches none")
    parser.add_argument("--rembg", type=Path, help="the Python of an environment with rembg")
    parser.add_argument("--half", choices=HALVES, help="only this half of the photographs")
    parser.add_argument("--match", default="", help="only what has this in its name")
    parser.add_argument("--look", type=Path, help="folder that keeps the pictures, to look at")
    parser.add_argument("--save", type=Path, help="JSON file to write the values into")
    parser.add_argument("--weights", type=Path, default=data / "weights")
    chosen = parser.parse_args(arguments)
    folder = chosen.photos or data / "quality" / "photos"
    if chosen.photos is None:
        for failure in fetch(folder, packages()):
            print(f"Left out: {failure}", file=sys.stderr)
    if chosen.look is not None:
        chosen.look.mkdir(parents=True, exist_ok=True)
    models = Pool.for_profile(chosen.profile, chosen.weights.absolute())
    run = Run(
        Photographs(folder),
        models,
        chosen.weights.absolute(),
        chosen.quick,
        chosen.rembg,
        chosen.look,
        chosen.half,
        chosen.match,
    )
    figures = Figures()
    for name in chosen.only or MEASURES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures.add(name, MEASURES[name](run))
    for measure, halves in figures.of.items():
        for half, values in halves.items():
            for name, value in values.items():
                print(f"{measure:10} {half:7} {name:32} {value:.4f}")
    if chosen.save is not None:
        figures.save(chosen.save)
    return 0


if __name__ == "__main__":
    sys.exit(main())
