"""The labels of moderation networks, and which of them count as nsfw; the same for every runtime."""

from collections.abc import Sequence

UNSAFE = frozenset({"nsfw", "unsafe", "medium", "high", "porn", "hentai", "sexy"})
"""Labels that count as nsfw, in lower case."""
SAFE = frozenset({"normal", "sfw", "safe", "neutral", "low", "drawings"})
"""Labels that do not count as nsfw, in lower case."""


def unsafe_places(labels: Sequence[str]) -> list[int]:
    """Return the places of the labels that count as nsfw; raises ValueError.

    A label in neither SAFE nor UNSAFE is an error: a wrong guess could let unsafe pictures pass.
    """
    names = [label.lower() for label in labels]
    unknown = sorted(set(names) - SAFE - UNSAFE)
    places = [place for place, name in enumerate(names) if name in UNSAFE]
    if unknown or not places:
        raise ValueError(f"labels of unknown meaning: {unknown}")
    return places
