"""Linear layers in float8, with one scale for each row of the weights and of the input."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Multiply = Callable[[Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor]
"""The product of two matrices in float8, their scales, and the dtype of the result."""
_KIND = torch.float8_e4m3fn
_LARGEST = 448.0
"""The largest number of that dtype."""
_MULTIPLE = 16
"""The sides of the matrices must be multiples of it."""


class Float8Linear(nn.Module):
    """A linear layer whose weights are float8; its input becomes float8 in each call."""

    def __init__(self, linear: nn.Linear, multiply: Multiply) -> None:
        super().__init__()
        weight, scale = quantised(linear.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.bias = linear.bias
        self.multiply = multiply

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer returns, for an input of any number of dimensions."""
        rows, scale = quantised(x.flatten(0, -2))
        result = self.multiply(rows, self.weight.t(), scale, self.scale.t(), x.dtype)
        if self.bias is not None:
            result = result + self.bias
        return result.unflatten(0, x.shape[:-1])


def quantised(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix in float8, and the scale of each row (rows x 1, float32) that restores it."""
    scale = matrix.float().abs().amax(1, keepdim=True).clamp(min=1e-12) / _LARGEST
    return (matrix.float() / scale).clamp(-_LARGEST, _LARGEST).to(_KIND), scale


def scaled_multiply(
    one: Tensor, other: Tensor, rows: Tensor, columns: Tensor, dtype: torch.dtype
) -> Tensor:
    """Multiply on a GPU's units for float8 (compute capability 8.9 or newer)."""
    return torch._scaled_mm(one, other, scale_a=rows, scale_b=columns, out_dtype=dtype)


def plain_multiply(
    one: Tensor, other: Tensor, rows: Tensor, columns: Tensor, dtype: torch.dtype
) -> Tensor:
    """Multiply in float32, on any device."""
    return ((one.float() * rows) @ (other.float() * columns)).to(dtype)


def convert(module: nn.Module, blocks: Sequence[str], multiply: Multiply) -> int:
    """Replace the linear layers of some classes of blocks, where its size allows it. Return how many."""
    count = 0
    for block in [one for one in module.modules() if type(one).__name__ in blocks]:
        for parent in list(block.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, nn.Linear) and _fits(layer):
                    setattr(parent, name, Float8Linear(layer, multiply))
                    count += 1
    return count


def _fits(layer: nn.Linear) -> bool:
    return layer.in_features % _MULTIPLE == 0 and layer.out_features % _MULTIPLE == 0
