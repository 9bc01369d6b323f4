"""Models that name the part of a call which needs their device, so that the rest runs on the caller's thread."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

Infer = Callable[[Any], Any]
"""Runs a model's network on one input and returns its output. It may wait for the device and for other calls."""


@runtime_checkable
class HasProcessing(Protocol):
    """A model whose calls are work on the processor around one or several runs of its network.

    It may have one method more, which lets inputs of waiting calls run together:

        batch_key(input) -> object  inputs with equal keys may share a run

    The results must equal those of single runs, apart from rounding.
    """

    @property
    def processing(self) -> Callable[..., Any]:
        """A function that makes a call: it takes an `Infer` and the arguments of the role's method.

        It holds no weights, because it outlives the model in memory. Several threads call it at once.
        """
        ...

    def infer(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Run the network on one input or, if they have equal batch keys, several; return their outputs.

        Outputs are in main memory.
        """
        ...


def infer_one(model: HasProcessing, value: Any) -> Any:
    """Return what a model's network makes of one input."""
    (output,) = model.infer([value])
    return output


def make_call(model: HasProcessing, *args: Any, **kwargs: Any) -> Any:
    """Make a whole call of a model on this thread."""
    return model.processing(partial(infer_one, model), *args, **kwargs)
