"""The memory that models take together: weights, and the buffers of the calls that may run at once."""

from collections.abc import Callable, Hashable, Iterable

from models.catalog.card import Card

Base = Callable[[Card], Hashable]
"""Returns what identifies the weights that a card shares with others; those count once."""


def held_mb(cards: Iterable[Card], base: Base) -> int:
    """Return what the loaded models of some cards take, in MiB.

    One model at a time runs on the device of torch models, so of their buffers only the largest count.
    Models without torch run beside one another.
    """
    cards = list(cards)
    parallel = sum(card.work_mb for card in cards if not card.torch)
    alone = max((card.work_mb for card in cards if card.torch), default=0)
    return _weights_mb(cards, base, set()) + parallel + alone


def evicted_mb(evicted: Iterable[Card], loaded: Iterable[Card], base: Base) -> int:
    """Return what evicted models take of main memory, in MiB: weights shared with loaded ones are not there."""
    shared = {base(card) for card in loaded if card.shared_mb}
    return _weights_mb(evicted, base, shared)


def _weights_mb(cards: Iterable[Card], base: Base, shared: set[Hashable]) -> int:
    """Return the weights of some cards in MiB, without the shared ones in `shared`, to which theirs are added."""
    weights = 0
    for card in cards:
        weights += card.weights_mb
        if card.shared_mb:
            weights -= card.shared_mb if base(card) in shared else 0
            shared.add(base(card))
    return weights
