"""Tries files that tests.helpers.mutations makes.

Run as `python -m scripts.hardening.fuzzing.by_structure FOLDER S SEED`. It ends after S seconds, or with the
first file that has an unexpected effect. FOLDER/current is the last file that was tried, so that nothing
is lost if the process dies. The last line is JSON with the figures.
"""

import json
import random
import sys
import time
from pathlib import Path

from scripts.hardening.fuzzing.seeds import seeds
from scripts.hardening.fuzzing.target import Figures, UnexpectedError, try_file
from tests.helpers.mutations import mutate

_GENERATIONS = 4
"""How often a mutated file is mutated once more."""


def main(folder: Path, seconds: float, seed: int) -> int:
    """Try mutated files; return 1 if one had an unexpected effect."""
    chance, figures = random.Random(seed), Figures()  # noqa: S311
    known, current = list(seeds()), folder / "current"
    deadline = time.monotonic() + seconds
    error = ""
    while not error and time.monotonic() < deadline:
        file = chance.choice(known)
        for _ in range(chance.randint(1, _GENERATIONS)):
            file = mutate(file, chance, known)
            current.write_bytes(file)
            try:
                try_file(file, figures)
            except UnexpectedError as caught:
                error = str(caught)
                break
    (folder / "slowest").write_bytes(figures.slowest[1])
    told = {
        "outcomes": dict(figures.outcomes.most_common()),
        "slowest_s": round(figures.slowest[0], 2),
        "error": error,
    }
    print(json.dumps(told))
    return int(bool(error))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
