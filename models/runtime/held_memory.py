"""The memory that loaded models take together: weights, and the buffers of the calls that may run at once."""

from collections.abc import Callable, Hashable, Iterable

from models.catalog.card import Card


def held_mb(cards: Iterable[Card], base: Callable[[Card], Hashable]) -> int:
    """Return what the models of some cards take, in MiB.

    base: returns what identifies the weights that a card shares with others; those count once. One model at a time
    runs on the device of torch models, so of their buffers only the largest count. Models without torch run beside
    one another.
    """
    weights, parallel, alone, shared = 0, 0, 0, set()
    for card in cards:
        weights += card.weights_mb
        if card.torch:
            alone = max(alone, card.work_mb)
        else:
            parallel += card.work_mb
        if card.shared_mb:
            weights -= card.shared_mb if base(card) in shared else 0
            shared.add(base(card))
    return weights + parallel + alone
