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

RESOLUTION_MEANING = (
    "The result is enlarged or reduced to the largest size that fits: nhd 640 x 360, svga 800 x 600,"
    " xga 1024 x 768, had 1280 x 720, wuxga 1920 x 1200, uwfhd 2560 x 1080, wqxga 2560 x 1600, uwqhd 3440 x 1440,"
    " uhd 3840 x 2160. original: it keeps the picture's size."
)
"""The description of a field of this type; a test compares it with the sizes of the pipelines."""
