"""Beam search: the sequence of tokens that a decoder finds most likely, on NumPy.

It follows `generate` of Hugging Face transformers with num_beams, no_repeat_ngram_size,
forced_bos_token_id, forced_eos_token_id and early_stopping (https://github.com/huggingface/transformers).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.deadline import checkpoint


class Decoder(Protocol):
    """Scores what follows the sequences of a search."""

    def step(self, tokens: NDArray[np.int64], parents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits of each sequence's next token: sequences x vocabulary.

        tokens: the newest token of each sequence. parents: which sequence of the call before each
        continues; ignored in the first call.
        """
        ...


@dataclass(frozen=True)
class DecodingRules:
    """How sequences are built, in the words of a `generation_config.json`.

    start: decoder_start_token_id. first: forced_bos_token_id. end: eos_token_id. beams: num_beams;
    1 is greedy. longest: max_new_tokens, the first and the end included; the last of them is the
    end. no_repeat: no_repeat_ngram_size; 0 for none.
    """

    start: int
    first: int
    end: int
    beams: int
    longest: int
    no_repeat: int


@dataclass(frozen=True)
class _Beam:
    """A sequence, the sum of its log-probabilities, and its place in the call before."""

    tokens: tuple[int, ...]
    score: float
    parent: int = 0

    @property
    def mean(self) -> float:
        """The log-probability of a token, by which finished sequences are compared."""
        return self.score / (len(self.tokens) - 1)


def search(decoder: Decoder, rules: DecodingRules) -> list[int]:
    """Return the tokens of the best sequence, without start and end.

    The deadline is checked before each step. The same logits give the same tokens. Raises ValueError
    if the logits are no numbers.
    """
    beams, finished = [_Beam((rules.start,), 0.0)], list[_Beam]()
    for step in range(rules.longest):
        checkpoint()
        logits = decoder.step(
            np.array([beam.tokens[-1] for beam in beams], np.int64),
            np.array([beam.parent for beam in beams], np.int64),
        )
        candidates = _candidates(beams, logits, rules, step)
        if not candidates:
            raise ValueError("the decoder returns scores that are no numbers")
        # An end counts only among the best: behind them it would crowd out better open sequences.
        finished += [beam for beam in candidates[: rules.beams] if beam.tokens[-1] == rules.end]
        beams = [beam for beam in candidates if beam.tokens[-1] != rules.end][: rules.beams]
        if len(finished) >= rules.beams or not beams:
            break
    # max() takes the first of equals: the order of the search decides, so the result is stable.
    best = max(finished, key=lambda beam: beam.mean)
    return list(best.tokens[1:-1])


def _repeating(tokens: tuple[int, ...], size: int) -> list[int]:
    """Return the tokens that would repeat `size` tokens in a row which the sequence already has."""
    if not 0 < size <= len(tokens):
        return []
    tail = tokens[len(tokens) - size + 1 :]
    starts = range(len(tokens) - size + 1)
    return [tokens[i + size - 1] for i in starts if tokens[i : i + size - 1] == tail]


def _candidates(
    beams: Sequence[_Beam], logits: NDArray[np.float32], rules: DecodingRules, step: int
) -> list[_Beam]:
    """Return the best continuations, best first: twice as many as beams, or all that are allowed."""
    forced = {0: rules.first, rules.longest - 1: rules.end}.get(step)
    if forced is not None:
        found = [
            _Beam((*beam.tokens, forced), beam.score, place) for place, beam in enumerate(beams)
        ]
    else:
        found = [
            _Beam((*beam.tokens, token), beam.score + score, place)
            for place, (beam, row) in enumerate(zip(beams, logits, strict=True))
            for token, score in _best(row, _repeating(beam.tokens, rules.no_repeat), rules.beams)
        ]
    # The sort is stable: of equal candidates, the one of the better beam comes first.
    return sorted(found, key=lambda beam: -beam.score)[: 2 * rules.beams]


def _best(
    logits: NDArray[np.float32], forbidden: Sequence[int], beams: int
) -> list[tuple[int, float]]:
    """Return the 2 x `beams` most likely tokens that are not forbidden, with their log-probabilities.

    Only theirs are computed: a vocabulary has fifty thousand tokens.
    """
    highest = logits.max()
    total = float(highest) + math.log(float(np.exp(logits - highest).sum(dtype=np.float64)))
    allowed = logits.copy()
    allowed[list(forbidden)] = -np.inf
    count = min(2 * beams, len(allowed))
    tokens = np.sort(np.argpartition(allowed, -count)[-count:])
    scores = [(int(token), float(allowed[token]) - total) for token in tokens]
    return [(token, score) for token, score in scores if math.isfinite(score)]
