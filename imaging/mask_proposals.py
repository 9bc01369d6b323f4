"""Mask proposals of a network: which are sure, which are the same, and one label map of those that stay.

The rules are those of Segment Anything's automatic mask generator (A. Kirillov et al., "Segment Anything",
ICCV 2023, appendix B), but two masks are compared by their pixels instead of their boxes, so that a ring
and the disc in it both stay.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.label_map import MAX_PARTS, by_area
from imaging.picture import Labels, Mask
from imaging.resize import Size

Float = NDArray[np.float32]

_OFFSET = 1.0
"""Of the logits, for the stability: the IoU of the masks at this threshold and at its negative."""
_LEVELS = 8
"""Steps of a stored logit per unit: it is stored as int8, up to 15.9, a quarter of the memory of float32."""
_SPECK = 0.0005
"""Islands and holes with a smaller share of the picture are removed."""
_LEAST_SHARE = 0.0005
_STRIP_PIXELS = 1 << 22


@dataclass(frozen=True, eq=False)
class Proposal:
    """One mask. logits: h x w, int8, above 0 inside, in steps of 1/8. score: the network's, about 0..1."""

    logits: NDArray[np.int8]
    score: float

    @classmethod
    def of(cls, logits: Float, score: float) -> Self:
        """Return the proposal of a network's logits, h x w, float32, without islands and holes."""
        levels = np.rint(logits * _LEVELS).clip(-127, 127).astype(np.int8)
        return cls(_tidy(levels), score)

    @property
    def mask(self) -> Mask:
        """Return the mask, h x w."""
        return self.logits > 0

    @property
    def share(self) -> float:
        """Return the mask's share of the picture, 0..1."""
        return float(np.count_nonzero(self.logits > 0) / self.logits.size)


def stability(logits: Float) -> float:
    """Return the IoU of the masks at a threshold of 1 and of -1, 0..1. logits: h x w."""
    union = np.count_nonzero(logits > -_OFFSET)
    return float(np.count_nonzero(logits > _OFFSET) / union) if union else 0.0


def _tidy(levels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return logits whose small islands are outside and whose small holes are inside."""
    tidied = levels.copy()
    least = _SPECK * levels.size
    for inside, value in ((True, -1), (False, 1)):
        region = ((tidied > 0) == inside).view(np.uint8)
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
        small = np.zeros(count, np.bool_)
        small[1:] = stats[1:, cv2.CC_STAT_AREA] < least
        tidied[small[numbers]] = value
    return tidied


def distinct(proposals: Iterable[Proposal], overlap: float) -> list[Proposal]:
    """Return the proposals of which none has a higher IoU than `overlap` with one of a higher score.

    Those that cover less than 0.05 % of the picture are left out. Of equal scores, the earlier one stays.
    """
    kept: list[Proposal] = []
    packed: list[NDArray[np.uint8]] = []
    areas: list[int] = []
    for proposal in sorted(proposals, key=lambda proposal: -proposal.score):
        mask = proposal.mask
        area = int(np.count_nonzero(mask))
        if area < max(1.0, _LEAST_SHARE * mask.size):
            continue
        bits = np.packbits(mask)
        near = [i for i, other in enumerate(areas) if min(area, other) > overlap * max(area, other)]
        if not any(_iou(bits, packed[i], area + areas[i]) > overlap for i in near):
            kept.append(proposal)
            packed.append(bits)
            areas.append(area)
    return kept


def _iou(one: NDArray[np.uint8], other: NDArray[np.uint8], total: int) -> float:
    """Return the IoU of two packed masks. total: the sum of their areas."""
    common = int(np.bitwise_count(one & other).sum())
    return common / (total - common)


def stacked(proposals: Sequence[Proposal], size: Size, reach: tuple[float, float]) -> Labels:
    """Return the proposals as a label map of `size` (width, height), the smallest on top.

    Only the 255 largest are used. reach: columns and rows of the logits that the picture fills; they may
    be fractions. Memory holds one strip of one enlarged mask.
    """
    largest = sorted(proposals, key=lambda proposal: -proposal.share)[:MAX_PARTS]
    labels = np.zeros(size[::-1], np.uint8)
    rows = max(1, _STRIP_PIXELS // size[0])
    for number, proposal in enumerate(largest, start=1):
        for top in range(0, size[1], rows):
            _lay(labels[top : top + rows], proposal.logits, number, top, (size, reach))
    return by_area(labels)


def _lay(
    strip: Labels,
    logits: NDArray[np.int8],
    number: int,
    top: int,
    scale: tuple[Size, tuple[float, float]],
) -> None:
    """Write `number` into the strip of a map that begins at the row `top`, where a mask is."""
    (width, height), (columns, rows) = scale
    across, down = columns / width, rows / height
    first = max(0, int(top * down) - 2)
    window = logits[first : int((top + len(strip)) * down) + 3]
    if not (window > 0).any():
        return
    # Pixel centres are at halves.
    place = np.array(
        [[across, 0, across / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5 - first]], np.float64
    )
    enlarged = cv2.warpAffine(
        window.astype(np.float32),
        place,
        strip.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    strip[enlarged > 0] = number
