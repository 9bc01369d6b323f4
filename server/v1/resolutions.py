"""The named resolutions that a request may contain."""

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
"""The names are those of the published page, which spells HD as `had`."""
