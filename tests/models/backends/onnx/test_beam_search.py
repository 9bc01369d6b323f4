"""Beam search: the most likely sequence under the rules, step by step."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from models.backends.onnx.beam_search import DecodingRules, search
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError

START, BEGIN, END = 2, 0, 2


class Table:
    """A decoder whose probabilities depend on the whole sequence.

    It follows the sequences by the parents that it is told, as a decoder with a cache does.
    """

    def __init__(self, size: int, table: Mapping[tuple[int, ...], Mapping[int, float]]) -> None:
        self.size, self.table = size, table
        self.sequences: list[tuple[int, ...]] = [()]
        self.steps = 0

    def step(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        assert tokens.dtype == parents.dtype == np.int64
        self.steps += 1
        self.sequences = [
            (*self.sequences[parent], token)
            for parent, token in zip(parents.tolist(), tokens.tolist(), strict=True)
        ]
        return np.array([self.logits(sequence) for sequence in self.sequences], np.float32)

    def logits(self, sequence: tuple[int, ...]) -> list[float]:
        known = self.table.get(sequence[2:], {END: 1.0})
        return [float(np.log(known.get(token, 1e-9))) for token in range(self.size)]


def rules(beams: int = 3, longest: int = 20, no_repeat: int = 0) -> DecodingRules:
    return DecodingRules(START, BEGIN, END, beams, longest, no_repeat)


# Greedy takes 5 and is then left with unlikely words; 6 is better in the end.
GARDEN_PATH = {(): {5: 0.6, 6: 0.4}, (5,): {7: 0.34, 8: 0.33, 9: 0.33}, (6,): {7: 1.0}}


def test_greedy_takes_the_best_token_at_each_step() -> None:
    assert search(Table(10, GARDEN_PATH), rules(beams=1)) == [BEGIN, 5, 7]


def test_several_beams_find_the_better_sentence() -> None:
    assert search(Table(10, GARDEN_PATH), rules(beams=3)) == [BEGIN, 6, 7]


def test_the_first_token_is_forced_and_the_start_is_fed_first() -> None:
    decoder = Table(10, {(): {4: 1.0}})
    assert search(decoder, rules(beams=1)) == [BEGIN, 4]
    assert decoder.sequences == [(START, BEGIN, 4)]


@pytest.mark.parametrize("longest", [2, 3, 7])
@pytest.mark.parametrize("beams", [1, 3])
def test_the_length_is_limited_and_its_last_token_is_the_end(longest: int, beams: int) -> None:
    class Counting(Table):
        def logits(self, sequence: tuple[int, ...]) -> list[float]:
            return [
                -100.0 if token == END else float(-abs(token - len(sequence) - 3))
                for token in range(30)
            ]

    decoder = Counting(30, {})
    found = search(decoder, rules(beams, longest))
    assert decoder.steps == longest
    assert found == [BEGIN, *range(5, 3 + longest)]


def test_the_search_stops_at_the_end() -> None:
    decoder = Table(10, {(): {4: 1.0}, (4,): {5: 1.0}})
    assert search(decoder, rules(beams=1, longest=1000)) == [BEGIN, 4, 5]
    assert decoder.steps == 4


def test_no_three_tokens_appear_twice() -> None:
    class Stuck(Table):
        def logits(self, sequence: tuple[int, ...]) -> list[float]:
            return [-50.0, -50.0, -40.0, -50.0, 0.0, -1.0, -50.0]

    found = search(Stuck(7, {}), rules(beams=1, longest=12, no_repeat=3))
    triples = list(itertools.pairwise(itertools.pairwise([START, *found])))
    assert len(set(triples)) == len(triples)
    assert found[:4] == [BEGIN, 4, 4, 4]
    free = search(Stuck(7, {}), rules(beams=1, longest=12))
    assert free == [BEGIN, *[4] * 10]


def test_a_cancelled_call_stops_at_the_next_step() -> None:
    deadline = Deadline()

    class Cancelling(Table):
        def step(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
            deadline.cancel()
            return super().step(tokens, parents)

    decoder = Cancelling(10, GARDEN_PATH)
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        search(decoder, rules())
    assert decoder.steps == 1


def test_scores_that_are_no_numbers_are_an_error() -> None:
    class Broken(Table):
        def logits(self, sequence: tuple[int, ...]) -> list[float]:
            return [float("nan")] * 10

    with pytest.raises(ValueError, match="no numbers"):
        search(Broken(10, {}), rules())
