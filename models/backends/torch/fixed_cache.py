"""Decoding with a cache of fixed size, so that the step for each new token is one CUDA graph."""

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StaticCache

from models.backends.torch.graphs import Graphs

LENGTH = 1024
"""Tokens that the cache has room for: a prompt and its answer. In Qwen3-4B it takes 144 MiB."""


class FixedCache:
    """Generates as `model.generate` does, with the same tokens.

    The first step captures the graph. Prompts that are too long with their answer, and models with layers
    that see only the last tokens, use a cache that grows, as without this class. length: of the cache, in
    tokens. Call it in inference mode.
    """

    def __init__(self, model: Any, graphs: Graphs, length: int = LENGTH) -> None:
        self._model = model
        self._graphs = graphs
        self._length = length
        parameters = inspect.signature(model.forward).parameters
        # Its name in the versions of transformers that are allowed.
        self._name = "cache" if "cache" in parameters else "past_key_values"
        self._cache: Callable[[], Any] = lambda: None

    def generate(
        self, input_ids: torch.Tensor, generation_config: GenerationConfig, **inputs: Any
    ) -> torch.Tensor:
        """Return the tokens of a prompt, 1 x n, and of its answer. The config must disable compilation."""
        given = {"input_ids": input_ids, "generation_config": generation_config, **inputs}
        with self._graphs.running(self._model):
            # A graph holds the cache that it writes into: evicted with it, it leaves the device.
            cache = self._cache() or StaticCache(
                config=self._model.config, max_cache_len=self._length
            )
            needed = input_ids.shape[1] + generation_config.max_new_tokens
            if needed > self._length or any(cache.is_sliding):
                return _tokens(self._model.generate(**given))
            self._cache = weakref.ref(cache)
            cache.reset()
            with self._steps_of(cache):
                return _tokens(self._model.generate(**given, **{self._name: cache}))

    @contextmanager
    def _steps_of(self, cache: Any) -> Iterator[None]:
        """Let the model's calls for one token be replayed in this context."""
        eager = self._model.forward
        known = 0

        def step(known: torch.Tensor, **given: Any) -> Any:
            # Its own count is the same in each call: a capture makes several.
            for layer in cache.layers:
                layer.cumulative_length.copy_(known)
            return eager(**given, **{self._name: cache})

        @functools.wraps(eager)
        def forward(**given: Any) -> Any:
            nonlocal known
            count = given["input_ids"].shape[1]
            if count > 1:
                result = eager(**given)
            else:
                given.pop(self._name)
                given["known"] = torch.full((), known, device=given["input_ids"].device)
                result = self._graphs.call(self._model, step, (), given, keep=cache)
            known += count
            return result

        self._model.forward = forward
        try:
            yield
        finally:
            del self._model.forward


def _tokens(generated: Any) -> torch.Tensor:
    tokens: torch.Tensor = generated
    return tokens
