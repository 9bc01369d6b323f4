"""Face editing with FLUX.2 klein: actions become one instruction, and a soft mask says where it counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import nn

from imaging.picture import Alpha, Rgb
from models.backends.diffusion.face_changes import changes_for
from models.backends.diffusion.face_regions import soft_mask
from models.backends.diffusion.face_table import Change
from models.backends.diffusion.klein import SIDE, KleinPipeline
from models.backends.diffusion.shared import shared
from models.device import DeviceConfig
from models.roles import Face

_KEPT = (
    "Keep everything else exactly as it is: the person's identity and pose, the light and the"
    " background."
)


class KleinFaceEditing:
    """Implements the role `models.roles.FaceEditing`.

    It shares its weights with the edits by words. All actions are made together, inside the union of
    their regions. The strengths of the table have no effect: the model reads the crop beside the
    instruction, so that the person stays the same without a trace of the old pixels. Not tried with
    full weights.
    """

    def __init__(self, folder: Path, device_config: DeviceConfig, side: int = SIDE) -> None:
        """Load from a folder in hub layout; side: as in `KleinPipeline`. Raises BadWeightsError."""
        self._pipeline = shared(KleinPipeline, folder, device_config, side=side)
        self.sizes = self._pipeline.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, side: int = SIDE) -> Self:
        """Load the model of a card; paths: the pipeline."""
        return cls(paths[0], device_config, side)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._pipeline.networks()

    def edit_face(
        self, rgb: Rgb, face: Face, actions: Mapping[str, str | float], seed: int
    ) -> tuple[Rgb, Alpha]:
        """Return the changed crop, and the alpha of the change; see the role.

        If no action changes anything, the crop is unchanged and the alpha is 0. Raises ValueError
        for an unknown action or word.
        """
        height, width = rgb.shape[:2]
        changes = changes_for(face, actions)
        alpha = soft_mask(
            face, [region for change in changes for region in change.regions], height, width
        )
        made = self._pipeline.generate(
            [rgb], _instruction(changes), "", seed, (width, height), hole=alpha > 0
        )
        return np.where(alpha[..., None] > 0, made, rgb), alpha


def _instruction(changes: Sequence[Change]) -> str:
    wanted = "; ".join(change.instruction for change in changes)
    return f"Edit the person: {wanted}. {_KEPT}"
