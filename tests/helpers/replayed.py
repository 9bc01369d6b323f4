"""The capture of CUDA graphs, replaced: what a graph would do on a GPU, done by the same code on the processor."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from models.backends.torch.cuda_capture import Work
from models.backends.torch.graphs import Graphs

WARM = 3


@dataclass
class Replayed:
    """Stands in for `CudaCapture`: a replay does the work again, and writes over the first result.

    captures, replays: their numbers. fails: raised by each capture, after the work is done.
    """

    captures: int = 0
    replays: int = 0
    fails: Exception | None = None
    first: list[bool] = field(default_factory=list)

    def __call__(self, work: Work, first: bool) -> Any:
        for _ in range(WARM):
            work()
        self.first.append(first)
        result = work()
        if self.fails is not None:
            raise self.fails
        self.captures += 1
        for one in _tensors(result):
            one.fill_(0)  # a capture computes nothing: only a replay does

        def replay() -> None:
            self.replays += 1
            for own, new in zip(_tensors(result), _tensors(work()), strict=True):
                own.copy_(new)

        return replay, result

    def graphs(self, most: int = 24) -> Graphs:
        """Return a collection of graphs on the processor that this captures."""
        return Graphs("cpu", self, most)


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
