"""Tries files that libFuzzer chooses by coverage: `python -m scripts.hardening.fuzzing.by_coverage OPTION...`.

The options are libFuzzer's. It sees which lines of imaging.files a file reaches, and keeps the files that
reach new ones. Half of its mutations are those of tests.helpers.mutations.
"""

import random
import sys

import atheris

with atheris.instrument_imports(include=["imaging.files"]):
    from scripts.hardening.fuzzing.target import Figures, try_file

from tests.helpers.mutations import mutate

_FIGURES = Figures()


def one_input(data: bytes) -> None:
    """Try a file; an exception is a finding of libFuzzer's."""
    try_file(data, _FIGURES)


def one_mutation(data: bytes, max_size: int, seed: int) -> bytes:
    """Return a mutated file of at most so many bytes."""
    chance = random.Random(seed)  # noqa: S311
    if chance.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))
    return mutate(data, chance)[:max_size]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input, custom_mutator=one_mutation)
    atheris.Fuzz()
