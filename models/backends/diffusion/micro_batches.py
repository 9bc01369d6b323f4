"""A transformer that makes the pictures of a batch in parts, for pipelines that encode prompt and pictures once.

A pipeline of diffusers draws several seeds in one call: it encodes the prompt and the pictures once, and makes
the latents of all of them. The transformer of a model that edits pictures is busy with one picture of a
megapixel already: a larger batch would take more memory and no less time
(docs/decisions/0036-one-call-for-all-results.md).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from models.backends.diffusion import diffusion
from models.deadline import checkpoint
from models.device import DeviceConfig

ROWS = ("hidden_states", "timestep", "encoder_hidden_states")
"""Arguments of every transformer with one row for each picture."""


class MicroBatches:
    """Calls a network with one row of a batch after the other, and joins the results.

    So each picture has the bits that it has alone, and a batch needs the memory of one picture. All else
    about the network is as it is. by_row: names of the arguments that have a row for each picture, as a
    tensor or within lists and dictionaries; the others are given to each call as they are.
    """

    def __init__(self, network: Any, by_row: Iterable[str]) -> None:
        self._network = network
        self._by_row = frozenset(by_row)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, *, hidden_states: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor]:
        """Return a tuple with the network's result for all rows.

        Raises WorkCancelledError between two rows if nobody waits any more.
        """
        inputs["hidden_states"] = hidden_states
        made: list[torch.Tensor] = []
        for number in range(len(hidden_states)):
            if number:
                checkpoint()
            one = {
                name: _row(value, number) if name in self._by_row else value
                for name, value in inputs.items()
            }
            made.append(self._network(**one)[0])
        return (torch.cat(made),)


def _row(value: Any, number: int) -> Any:
    # A copy: kernels may choose their way by the address, and that of a row within a batch is another.
    return tree_map_only(torch.Tensor, lambda rows: rows[number : number + 1].clone(), value)


def for_all_seeds(pipe: Any, device_config: DeviceConfig, by_row: Iterable[str] = ROWS) -> Any:
    """Return a copy of a pipeline with a transformer, for one call that draws several seeds.

    It has a noise scheduler of its own. by_row: as in `MicroBatches`.
    """
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    own = diffusion.for_one_call(pipe, device_config, scheduler)
    own.transformer = MicroBatches(own.transformer, by_row)
    return own
