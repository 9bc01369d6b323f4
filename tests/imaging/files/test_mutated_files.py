"""Mutated picture files are decoded or refused, and nothing else; scripts/hardening has the full size."""

import random

import pytest

from scripts.hardening.fuzzing.seeds import seeds
from scripts.hardening.fuzzing.target import Figures, try_file
from tests.helpers.mutations import mutate, parts_of

SEEDS = list(seeds())
FILES = 400


@pytest.mark.parametrize("file", SEEDS[:12], ids=[str(number) for number in range(12)])
def test_the_parts_of_a_file_are_the_file(file: bytes) -> None:
    assert len(parts_of(file)) >= 2
    assert b"".join(parts_of(file)) == file


def test_mutated_files_are_decoded_or_refused() -> None:
    chance, figures = random.Random(18), Figures()
    for _ in range(FILES):
        try_file(mutate(chance.choice(SEEDS), chance, SEEDS), figures)
    assert sum(figures.outcomes.values()) == FILES
    # Otherwise the mutations are so coarse, or so fine, that they try little.
    assert figures.outcomes["decoded"] > FILES // 10
    assert figures.outcomes["DamagedPictureError"] > FILES // 10


def test_a_mutation_is_repeated_with_its_seed() -> None:
    assert mutate(SEEDS[0], random.Random(1), SEEDS) == mutate(SEEDS[0], random.Random(1), SEEDS)
