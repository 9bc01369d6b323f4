"""The answer of the v1 routes that make several pictures, each with a link, a seed and a name."""

from collections.abc import Iterable

from pydantic import BaseModel, Field

from server.operation import EXAMPLE_LINK, Delivered, Seed

BLOCKED = "blocked"
"""Replaces the link and the file name of a result that moderation blocked."""


class SeededResults(BaseModel):
    """The link, the seed and the file name of each result."""

    result: list[tuple[str, str, str]] = Field(examples=[[[EXAMPLE_LINK, "12345", "7d0c.png"]]])


class SeededShots(SeededResults):
    """The same, and the links alone: storefronts look for them before they read `result`."""

    urls: list[str] = Field(
        description="The link of each result; blocked for one that moderation blocked.",
        examples=[[EXAMPLE_LINK]],
    )


def seeded_results(delivered: Delivered, seeds: Iterable[Seed]) -> SeededResults:
    """Return the answer with each result's link, seed and file name. seeds: one for each result."""
    return SeededResults(
        result=[
            (link or BLOCKED, str(seed), key.rpartition("/")[2] if link else BLOCKED)
            for link, key, seed in zip(delivered.links, delivered.keys, seeds, strict=True)
        ]
    )
