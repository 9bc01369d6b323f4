"""The work on the processor around SAM and SAM 2: the reduction of a picture, and the map of its masks."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from segment_anything.utils.amg import area_from_rle, rle_to_mask

from imaging.label_map import label_map
from imaging.picture import Labels, Mask, Rgb
from imaging.resize import resize, within_area
from models.processing import Infer

WORK_PIXELS = 1_500_000
"""Number of pixels at which masks are made."""

RunLengths = Mapping[str, Any]
"""A mask as both libraries encode it: `size`, height and width, and `counts`, lengths of runs down the columns
that are False and True in turn."""


def segment(infer: Infer, rgb: Rgb) -> Labels:
    """Return the objects of a picture. infer: gets it reduced, and returns masks as run lengths."""
    encoded = infer(resize(rgb, within_area(rgb.shape[1], rgb.shape[0], WORK_PIXELS)))
    areas = [area_from_rle(one) for one in encoded]
    return label_map(_Decoded(encoded), rgb.shape[1], rgb.shape[0], areas)


class _Decoded(Sequence[Mask]):
    """Masks that are decoded when they are read: all together take a megabyte and a half each."""

    def __init__(self, encoded: Sequence[RunLengths]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, at: int) -> Mask: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Mask]: ...

    def __getitem__(self, at: int | slice) -> Mask | Sequence[Mask]:
        if isinstance(at, slice):
            return _Decoded(self._encoded[at])
        mask: Mask = rle_to_mask(self._encoded[at])
        return mask
