"""What the short work beside operations is expected to cost: checks of pictures, and queries about visuals."""

from collections.abc import Iterable

from server.http.uploads import Encoded
from storage.records import Visual

_BASE_S = 0.02
_DECODING_S = 0.03
_QUERY_S = 0.5
"""Seconds of one processor for each megapixel."""


def check_seconds(pictures: Iterable[Encoded]) -> float:
    """Return the expected seconds of one processor for decoding pictures once."""
    pixels = sum(picture.probe.width * picture.probe.height for picture in pictures)
    return _BASE_S + _DECODING_S * pixels / 1e6


def query_seconds(visual: Visual) -> float:
    """Return the expected seconds of one processor for a query about a visual."""
    return _BASE_S + _QUERY_S * visual.width * visual.height / 1e6
