"""What a model that edits pictures by words does for every role that it plays: whole pictures, and holes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from torch import nn

from imaging.colour_match import match_to_ring
from imaging.masks import dilate_square
from imaging.picture import Mask, Rgb
from imaging.resize import Size, SizeRule
from models.backends.diffusion.reference_pictures import check_request
from models.backends.diffusion.shared import shared
from models.device import DeviceConfig

SIDE = 1024
"""Of a square picture at the area of the published models, in pixels."""
TOKEN = 16
"""Width and height, in pixels, of one token of the transformers."""
_SIDE_OF_TOKEN = 512
"""Shorter side of a picture, in pixels, for each token of the ring's width."""


class EditingModel(Protocol):
    """One set of weights that edits whole pictures and holes; see `models.roles.InstructionEditing`."""

    sizes: SizeRule

    def generate(
        self,
        pictures: Sequence[Rgb],
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        size: Size,
        hole: Mask | None = None,
        strength: float = 1.0,
        effort: float = 1.0,
        guidance: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture of `size` for each seed.

        strength: above 0, at most 1. Below 1, the first picture, which must have `size`, shows
        through in the hole: the first steps are left out.
        """
        ...

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        ...


M = TypeVar("M", bound=EditingModel)


class EditingRole(Generic[M]):
    """A role of an editing model, whose weights are in memory once for all its roles.

    kind: the model's class. sizes: the sizes of results.
    """

    kind: ClassVar[Any]

    def __init__(self, folder: Path, device_config: DeviceConfig, side: int = SIDE) -> None:
        """Load from a folder in hub layout; raises BadWeightsError.

        side: of a square picture at the model's own area, in pixels.
        """
        self._pipeline: M = shared(self.kind, folder, device_config, side=side)
        self.sizes = self._pipeline.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, side: int = SIDE) -> Self:
        """Load the model of a card; paths: the pipeline."""
        return cls(paths[0], device_config, side)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._pipeline.networks()


def edit_hole(
    model: EditingModel,
    pictures: Sequence[Rgb],
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    hole: Mask,
    *,
    strength: float = 1.0,
    effort: float = 1.0,
    guidance: float = 1.0,
) -> list[Rgb]:
    """Return the first picture once for each seed, with a hole generated, and the rest of it bit for bit.

    These models shift brightness and colour in what they generate. So the model also generates a ring
    around the hole, where the picture is known: the shift is measured there and undone in the hole.
    """
    first = pictures[0]
    if not hole.any():
        return [first.copy() for _ in seeds]
    size = hole.shape[1], hole.shape[0]
    wider = dilate_square(hole, TOKEN * max(1, round(min(size) / _SIDE_OF_TOKEN)))
    made = model.generate(
        pictures, prompt, negative_prompt, seeds, size, wider, strength, effort, guidance
    )
    ring = wider & ~hole
    return [np.where(hole[..., None], match_to_ring(one, first, ring), first) for one in made]


def edit(
    model: EditingModel,
    pictures: Sequence[Rgb],
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    size: Size,
    hole: Mask | None,
    effort: float,
    guidance: float,
) -> list[Rgb]:
    """Return a picture of `size` for each seed; see `models.roles.InstructionEditing`. Raises ValueError."""
    if hole is None:
        return model.generate(
            pictures, prompt, negative_prompt, seeds, size, effort=effort, guidance=guidance
        )
    check_request(pictures, size, hole, TOKEN)
    return edit_hole(
        model, pictures, prompt, negative_prompt, seeds, hole, effort=effort, guidance=guidance
    )
