"""The code inside a tiny matting repository: a network with BiRefNet's interface."""

from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel


class TinyMattingConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The configuration of `TinyMatting`.

    channels: number of features between the two convolutions.
    """

    model_type = "tiny_matting"

    def __init__(self, channels: int = 8, **others: Any) -> None:
        self.channels = channels
        super().__init__(**others)


class TinyMatting(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A network that returns matte logits at two resolutions, the finest last, as BiRefNet does."""

    config_class = TinyMattingConfig

    def __init__(self, config: TinyMattingConfig) -> None:
        super().__init__(config)
        self.features = nn.Sequential(
            nn.Conv2d(3, config.channels, 5, padding=2, stride=4),
            nn.BatchNorm2d(config.channels),
            nn.GELU(),
        )
        self.coarse = nn.Conv2d(config.channels, 1, 1)
        self.fine = nn.Sequential(
            nn.Upsample(scale_factor=4, mode="bilinear"),
            nn.Conv2d(config.channels, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return logits: n x 1 x height / 4 x width / 4, and n x 1 x height x width."""
        features = self.features(pixels)
        return [self.coarse(features), self.fine(features)]
