"""The sizes that a caller may ask for by name, as a type of the wire."""

from typing import Literal

Resolution = Literal[
    "original",
    "nhd",
    "svga",
    "xga",
    "had",
    "wuxga",
    "uwfhd",
    "wqxga",
    "uwqhd",
    "uhd",
]
"""From the published page; `had` is its spelling of HD."""
