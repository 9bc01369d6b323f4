"""What the short work beside operations is expected to cost: queries about visuals."""

from server.cost import Cost
from storage.records import Visual

_BASE_S = 0.02
_SECONDS_PER_MEGAPIXEL = 0.5
_BASE_BYTES = 44 * 2**20
_BYTES_PER_PIXEL = 30
"""As those of all_masks, which segments a picture too."""


def query_cost(visual: Visual) -> Cost:
    """Return the expected cost of a query about a visual, whose objects or people it may have to find."""
    pixels = visual.width * visual.height
    return Cost(
        _BASE_S + _SECONDS_PER_MEGAPIXEL * pixels / 1e6, _BASE_BYTES + _BYTES_PER_PIXEL * pixels
    )
