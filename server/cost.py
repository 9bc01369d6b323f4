"""What a request is expected to cost, estimated from its fields and the headers of its pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.http.uploads import Encoded
from server.operation import Operation, RequestBody

_BASE_S = 0.05
_SECONDS_PER_MEGAPIXEL = 0.3
_BASE_BYTES = 32 * 2**20
_BYTES_PER_PIXEL = 40


@dataclass(frozen=True)
class Cost:
    """Expected cost. seconds: of one processor. memory: the peak, in bytes."""

    seconds: float
    memory: int


def estimate(operation: Operation[Any], body: RequestBody, pictures: Mapping[str, Encoded]) -> Cost:
    """Return the expected cost of a request: linear in the pixels that it sends, for each of its results."""
    pixels = sum(one.probe.width * one.probe.height for one in pictures.values())
    seconds = _BASE_S + _SECONDS_PER_MEGAPIXEL * pixels / 1e6 * max(1, operation.count(body))
    return Cost(seconds, _BASE_BYTES + _BYTES_PER_PIXEL * pixels)
