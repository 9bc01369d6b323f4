"""The code inside a tiny matting repository: a network with BiRefNet's interface."""

from typing import Any

import torch
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


_STRIDE = 4
"""Pixels of a feature along each side."""
_SHARE = 0.6
"""Of the picture's width and height that the ellipse of `_middle` takes."""


class TinyMatting(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A network that returns matte logits at two resolutions, the finest last, as BiRefNet does.

    Beside the features of the picture it has one of the place: how far a pixel is from the middle. So
    weights can make it find a subject in the middle of every picture.
    """

    config_class = TinyMattingConfig

    def __init__(self, config: TinyMattingConfig) -> None:
        super().__init__(config)
        self.features = nn.Sequential(
            nn.Conv2d(3, config.channels, 5, padding=2, stride=_STRIDE),
            nn.BatchNorm2d(config.channels),
            nn.GELU(),
        )
        self.coarse = nn.Conv2d(config.channels + 1, 1, 1)
        self.fine = nn.Sequential(
            nn.Upsample(scale_factor=_STRIDE, mode="bilinear"),
            nn.Conv2d(config.channels + 1, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return logits: n x 1 x height / 4 x width / 4, and n x 1 x height x width."""
        found = self.features(pixels)
        features = torch.cat([found, _middle(found)], dim=1)
        return [self.coarse(features), self.fine(features)]


def _middle(features: Tensor) -> Tensor:
    """Return 1 in an ellipse in the middle, -1 outside, and a ramp between: n x 1 x rows x columns."""
    count, _, rows, columns = features.shape
    y, x = (
        torch.linspace(-1, 1, side, device=features.device, dtype=features.dtype)
        for side in (rows, columns)
    )
    distance = (y[:, None] ** 2 + x[None] ** 2).sqrt() / _SHARE
    ramp = (8 * (1 - distance)).clamp(-1, 1)
    return ramp.expand(count, 1, rows, columns)
