"""Mutated picture files are decoded or refused, and nothing else; scripts/hardening has the full size."""

import random

import pytest

from scripts.hardening.fuzzing.seeds import seeds
from scripts.hardening.fuzzing.target import Figures, try_file
from tests.helpers.mutations import mutate, parts_of

FILES = 400


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    """The files that are mutated."""
    return list(seeds())


@pytest.mark.parametrize("number", range(12))
def test_the_parts_of_a_file_are_the_file(originals: list[bytes], number: int) -> None:
    file = originals[number]
    assert len(parts_of(file)) >= 2
    assert b"".join(parts_of(file)) == file


def test_mutated_files_are_decoded_or_refused(originals: list[bytes]) -> None:
    chance, figures = random.Random(18), Figures()
    for _ in range(FILES):
        try_file(mutate(chance.choice(originals), chance, originals), figures)
    assert sum(figures.outcomes.values()) == FILES
    # Otherwise the mutations are so coarse, or so fine, that they try little.
    assert figures.outcomes["decoded"] > FILES // 10
    assert figures.outcomes["DamagedPictureError"] > FILES // 10


def test_a_mutation_is_repeated_with_its_seed(originals: list[bytes]) -> None:
    once, again = (mutate(originals[0], random.Random(1), originals) for _ in range(2))
    assert once == again
