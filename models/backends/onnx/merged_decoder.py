"""A text decoder as optimum exports it: one ONNX file for the first step and for those with a cache.

The file takes `use_cache_branch`, and the keys and values of each layer as `past_key_values.N.*`,
which it returns as `present.N.*` (https://github.com/huggingface/optimum).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends.onnx.network import Array, Input, Network
from models.errors import BadWeightsError

_PAST, _PRESENT = "past_key_values.", "present."
DECODER_INPUTS = ("inputs_embeds", "encoder_hidden_states", "use_cache_branch")
"""Inputs without which a file is no such decoder."""

Embed = Callable[[NDArray[np.int64]], Array]
"""Returns the embeddings of tokens, n x length x width, for n x length."""


class MergedDecoder:
    """Implements `models.backends.onnx.beam_search.Decoder` for one encoded input.

    A search needs a new one. Its first call must be with one sequence.
    """

    def __init__(self, network: Network, embed: Embed, states: Array, mask: Array) -> None:
        """Decode from `states`, 1 x length x width, the encoder's output. mask: 1 x length, all 1."""
        self._network, self._embed = network, embed
        self._past: dict[str, Array] = {}
        self._fixed = {"encoder_hidden_states": states, "encoder_attention_mask": mask}
        self._repeated: tuple[int, dict[str, Array]] = (0, {})

    def step(self, tokens: NDArray[np.int64], parents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits of the next tokens; see `beam_search.Decoder`."""
        first, count = not self._past, len(tokens)
        outputs = self._network.run(
            {
                "inputs_embeds": self._embed(tokens[:, None]),
                "use_cache_branch": np.array([not first]),
                **(self._empty_past() if first else {}),
                **{name: cache[parents] for name, cache in self._past.items()},
                **self._fixed_for(count),
            }
        )
        self._keep(outputs, first)
        return np.asarray(outputs["logits"][:, -1], np.float32)

    def _empty_past(self) -> dict[str, Array]:
        """Return caches of length 0: the first step must be fed something, and ignores it."""
        return {
            name: np.zeros(_empty_shape(entry), entry.dtype)
            for name, entry in self._network.inputs.items()
            if name.startswith(_PAST)
        }

    def _fixed_for(self, count: int) -> dict[str, Array]:
        """Return what is the same in every step, for `count` sequences.

        It is repeated once: at the full size it has 70 MB for three sequences, and to copy them at
        each step takes as long as the decoder.
        """
        if self._repeated[0] != count:
            wide = {name: np.repeat(one, count, axis=0) for name, one in self._fixed.items()}
            self._repeated = (count, wide)
        return self._repeated[1]

    def _keep(self, outputs: dict[str, Array], first: bool) -> None:
        """Keep the caches of a step.

        Those of the encoder's output never change, and only the first step returns them: the other
        branch of the file leaves them empty.
        """
        for name, cache in outputs.items():
            past = name.replace(_PRESENT, _PAST)
            if ".decoder." in name:
                self._past[past] = cache
            elif first and ".encoder." in name:
                self._fixed[past] = cache
        if first:
            self._repeated = (0, {})


def check_decoder(file: Path, network: Network) -> None:
    """Raise BadWeightsError if a network does not return a cache for each that it takes."""
    returned = {name.replace(_PRESENT, _PAST) for name in network.outputs}
    taken = {name for name in network.inputs if name.startswith(_PAST)}
    if "logits" not in returned or not taken or not taken <= returned:
        raise BadWeightsError(f"{file} is no decoder with a cache")


def _empty_shape(entry: Input) -> tuple[int, ...]:
    """Return the shape of an empty cache: 1 x heads x 0 x width."""
    _, heads, _, width = entry.shape
    return (1, heads or 1, 0, width or 1)
