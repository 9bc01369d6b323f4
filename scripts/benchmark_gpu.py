"""Measures Retouch's models, its networks and its server on a GPU, with random weights of full size.

It needs no network and installs nothing. Packages that are missing are read from wheels, which
`--fetch-wheels` downloads on another machine. Without a GPU it runs tiny models, only to test its code.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.gpu_benchmark import wheels


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch wheels, or measure. Return 0; 1 if a row failed; 2 if nothing can be measured."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.fetch_wheels is not None:
            wheels.fetch(chosen.fetch_wheels, chosen.python, not chosen.without_server)
            print(f"Wheels are in {chosen.fetch_wheels}; measure there with --wheels FOLDER.")
            return 0
        with wheels.unpacked(chosen.wheels):
            return _measure(chosen)
    except wheels.WheelError as error:
        print(error, file=sys.stderr)
        return 2


def _measure(chosen: argparse.Namespace) -> int:
    lacking = wheels.missing([*wheels.MACHINE, *wheels.MODELS])
    if lacking:
        print(
            f"Missing here: {', '.join(lacking)}. scripts/benchmark_gpu --fetch-wheels FOLDER, where there is a"
            f" network, fetches {', '.join(wheels.MODELS)}; the others belong to the machine.",
            file=sys.stderr,
        )
        return 2
    if without := wheels.missing(wheels.SERVER):
        print(f"Missing here for the rows of the server: {', '.join(without)}.", file=sys.stderr)
    from scripts.gpu_benchmark.run import run

    return run(chosen)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    options = argparse.ArgumentParser(prog="scripts/benchmark_gpu", description=__doc__)
    options.add_argument(
        "--wheels", type=Path, metavar="FOLDER", help="wheels of packages that are missing here"
    )
    options.add_argument("--minutes", type=float, default=30, help="time for all (default: 30)")
    options.add_argument(
        "--row-seconds", type=float, default=60, help="longest time of a row (default: 60)"
    )
    options.add_argument("--rounds", type=int, default=7, help="most calls of a row (default: 7)")
    options.add_argument(
        "--parts",
        nargs="+",
        metavar="PART",
        help="parts to measure, by name",
    )
    options.add_argument(
        "--into",
        type=Path,
        metavar="PAGE",
        help="page to write (default with a GPU: docs/performance.md)",
    )
    options.add_argument(
        "--folder", type=Path, help="folder for the weights: needs 40 GB of disk, or of memory"
    )
    fetching = options.add_argument_group("where there is a network")
    fetching.add_argument(
        "--fetch-wheels", type=Path, metavar="FOLDER", help="download the locked wheels, 36 MB"
    )
    fetching.add_argument(
        "--python", metavar="VERSION", help="Python of the other machine, such as 3.12"
    )
    fetching.add_argument(
        "--without-server", action="store_true", help="only the wheels of the models, 7 MB"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
