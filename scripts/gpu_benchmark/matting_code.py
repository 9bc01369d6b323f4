"""A network of BiRefNet's size and form, of timm and own code, as a repository with code of its own has it.

P. Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation", 2024: Swin-L at two
scales, deformable convolutions of several sizes in the decoder, which sees the picture at each scale. Copied
into a folder of weights; it imports nothing of Retouch.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d
from transformers import PretrainedConfig, PreTrainedModel


class SwinMattingConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The configuration of `SwinMatting`; by default that of Swin-L at 1024x1024."""

    model_type = "swin_matting"

    def __init__(
        self,
        side: int = 1024,
        width: int = 192,
        depths: tuple[int, ...] = (2, 2, 18, 2),
        heads: tuple[int, ...] = (6, 12, 24, 48),
        window: int = 12,
        block: int = 64,
        branch: int = 256,
        **others: Any,
    ) -> None:
        self.side, self.width, self.window = side, width, window
        self.block, self.branch = block, branch
        self.depths, self.heads = depths, heads
        super().__init__(**others)


class _Deformable(nn.Module):
    """A modulated deformable convolution with its norm."""

    def __init__(self, inside: int, outside: int, size: int) -> None:
        super().__init__()
        self.padding = size // 2
        self.offset = nn.Conv2d(inside, 2 * size * size, size, padding=self.padding)
        self.modulator = nn.Conv2d(inside, size * size, size, padding=self.padding)
        self.regular = nn.Conv2d(inside, outside, size, padding=self.padding, bias=False)
        self.norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        share = 2 * torch.sigmoid(self.modulator(x))
        x = deform_conv2d(
            x, self.offset(x), self.regular.weight, None, padding=self.padding, mask=share
        )
        return functional.relu(self.norm(x))


class _Pyramid(nn.Module):
    """Deformable convolutions of several sizes beside each other, and the mean of all pixels."""

    def __init__(self, width: int, branch: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Deformable(width, branch, size) for size in (1, 1, 3, 7))
        self.mean = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, branch, 1, bias=False),
            nn.BatchNorm2d(branch),
            nn.ReLU(),
        )
        self.join = nn.Sequential(
            nn.Conv2d(5 * branch, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in self.branches]
        parts.append(self.mean(x).expand(-1, -1, *x.shape[2:]))
        return self.join(torch.cat(parts, 1))


class _Block(nn.Module):
    """A block of the decoder. width: channels inside it; branch: of each branch of its pyramid."""

    def __init__(self, inside: int, outside: int, width: int, branch: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inside, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.pyramid = _Pyramid(width, branch)
        self.last = nn.Sequential(nn.Conv2d(width, outside, 3, padding=1), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.pyramid(self.first(x)))


def _patches(inside: int, outside: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, width, 3, padding=1), nn.Conv2d(width, outside, 3, padding=1)
    )


class SwinMatting(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A network that returns matte logits, n x 1 x height x width, in a list as BiRefNet does."""

    config_class = SwinMattingConfig

    def __init__(self, config: SwinMattingConfig) -> None:
        super().__init__(config)
        self.backbone = timm.create_model(
            "swin_large_patch4_window12_384",
            pretrained=False,
            features_only=True,
            img_size=config.side,
            strict_img_size=False,
            embed_dim=config.width,
            depths=tuple(config.depths),
            num_heads=tuple(config.heads),
            window_size=config.window,
        )
        # Twice: the features of the picture at half its size come beside.
        wide = [2 * config.width << level for level in range(4)]
        inner = (config.block, config.branch)
        self.squeeze = _Block(sum(wide), wide[3], *inner)
        steps = [
            (wide[3], wide[2]),
            (wide[2], wide[1]),
            (wide[1], wide[0]),
            (wide[0], wide[0] // 2),
        ]
        seen = [wide[3] // 8, wide[2] // 8, wide[1] // 8, wide[0] // 8]
        patches = [3 * size * size for size in (32, 16, 8, 4)]
        self.inputs = nn.ModuleList(
            _patches(inside, n, config.block) for inside, n in zip(patches, seen, strict=True)
        )
        self.blocks = nn.ModuleList(
            _Block(inside + n, outside, *inner)
            for (inside, outside), n in zip(steps, seen, strict=True)
        )
        self.sides = nn.ModuleList(nn.Conv2d(wide[level], wide[level], 1) for level in (2, 1, 0))
        self.edges = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(wide[level], 16, 3, padding=1),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 1, 1),
            )
            for level in (2, 1, 0)
        )
        self.input = _patches(3, wide[0] // 8, config.block)
        self.logits = nn.Conv2d(wide[0] // 2 + wide[0] // 8, 1, 1)

    def _features(self, pixels: Tensor) -> list[Tensor]:
        small = functional.interpolate(
            pixels, scale_factor=0.5, mode="bilinear", align_corners=True
        )
        pairs = zip(self.backbone(pixels), self.backbone(small), strict=True)
        return [
            torch.cat([one.permute(0, 3, 1, 2), _to(other.permute(0, 3, 1, 2), one.shape[1:3])], 1)
            for one, other in pairs
        ]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the logits; pixels: n x 3 x side x side, normalised."""
        features = self._features(pixels)
        x = self.squeeze(torch.cat([_to(one, features[3].shape[2:]) for one in features], 1))
        for number, block in enumerate(self.blocks):
            size = x.shape[2:]
            patches = functional.pixel_unshuffle(pixels, pixels.shape[-1] // size[-1])
            x = block(torch.cat([x, self.inputs[number](patches)], 1))
            if number < len(self.sides):
                x = x * torch.sigmoid(self.edges[number](x))
                level = features[2 - number]
                x = _to(x, level.shape[2:]) + self.sides[number](level)
        x = torch.cat([_to(x, pixels.shape[2:]), self.input(pixels)], 1)
        return [self.logits(x)]


def _to(x: Tensor, size: Any) -> Tensor:
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


TINY: dict[str, Any] = {
    "side": 64,
    "width": 8,
    "depths": (1, 1, 1, 1),
    "heads": (1, 1, 2, 2),
    "window": 2,
    "block": 8,
    "branch": 8,
}
"""Settings of the configuration for a test without a GPU."""
