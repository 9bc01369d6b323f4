"""Prompt refinement by the text encoder of an editing model, which is a whole language model.

Nothing more is loaded: the encoder is in memory once, for the pictures and for this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import nn

from models.backends.diffusion.editing_model import SIDE
from models.backends.diffusion.shared import shared
from models.backends.torch.refiner import Refiner
from models.device import DeviceConfig
from models.errors import BadWeightsError


class EncoderRefiner(Refiner):
    """Implements the role `models.roles.PromptRefinement`. kind: the class of the editing model."""

    kind: ClassVar[Any]

    def __init__(self, folder: Path, device_config: DeviceConfig, side: int = SIDE) -> None:
        """Load from a folder in hub layout; raises BadWeightsError, also if the encoder cannot write.

        side: as for the model's other roles, which share its weights.
        """
        self._pipeline: Any = shared(self.kind, folder, device_config, side=side)
        super().__init__(folder, device_config)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, side: int = SIDE) -> Self:
        """Load the model of a card; paths: the pipeline."""
        return cls(paths[0], device_config, side)

    def networks(self) -> list[nn.Module]:
        """Return the modules of the whole model, of which the encoder is a part; see `HasNetworks`."""
        return self._pipeline.networks()

    def _load(self, folder: Path, device_config: DeviceConfig) -> tuple[Any, Any]:
        model, tokenizer = self._pipeline.language_model
        if not model.can_generate():
            raise BadWeightsError(f"{folder}: {type(model).__name__} reads texts, but writes none")
        return model, tokenizer
