"""Which models are evicted: those whose next use is farthest away, and none for nothing (decision 31)."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from models.runtime.running_requests import Need

T = TypeVar("T")


def order(need: Need, last_use: int) -> tuple[int, int]:
    """Return the key by which models are evicted, the least first.

    What no running request needs comes first, the least recently used of it foremost. Then comes what
    the running requests have used, then what they have yet to use; of these the most recently used
    foremost. A request uses its models in turn, and so does the next one of its kind: the model that was
    used just now is needed again last. last_use: the number of its last use.
    """
    return need, last_use if need is Need.NONE else -last_use


def choose(
    candidates: Sequence[T], key: Callable[[T], Any], fits: Callable[[Collection[T]], bool]
) -> list[T]:
    """Return which candidates to evict: by `key`, the least first, until the rest fits.

    fits: whether the rest fits without some of them. What need not go, because a later one makes the
    room alone, stays. If the rest never fits, all are evicted.
    """
    chosen: list[T] = []
    for one in sorted(candidates, key=key):
        if fits(chosen):
            break
        chosen.append(one)
    for one in reversed(list(chosen)):
        others = [other for other in chosen if other is not one]
        if fits(others):
            chosen = others
    return chosen
