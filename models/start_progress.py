"""What a start has done so far: bytes of weights fetched, models loaded. `/readyz` tells it to whoever waits."""

import threading
from collections.abc import Hashable, Mapping
from typing import Any

_MIB = 2**20
_GIB = 2**30


class StartProgress:
    """The progress of a start; threads may share it. All of it is empty until something is told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[Hashable, int] = {}
        self._done: dict[Hashable, int] = {}
        self._ended: set[Hashable] = set()
        self._failed: dict[str, str] = {}
        self._card: str | None = None
        self._models: tuple[int, int] | None = None

    def expect_parts(self, sizes: Mapping[Hashable, int]) -> None:
        """Tell what the weights of a profile are. sizes: about how many bytes each part has; 0 if unknown."""
        with self._lock:
            self._totals = dict(sizes)

    def begin_part(self, card: str) -> None:
        """Tell that a part of a card is being checked or fetched."""
        with self._lock:
            self._card = card

    def fetched(self, part: Hashable, done: int, total: int) -> None:
        """Tell how many bytes of a part are there, of how many; 0 if that is unknown."""
        with self._lock:
            self._totals[part] = total or self._totals.get(part, 0)
            self._done[part] = max(done, self._done.get(part, 0))

    def end_part(self, part: Hashable) -> None:
        """Tell that a part is complete."""
        with self._lock:
            self._ended.add(part)
            self._done[part] = self._totals.get(part, 0)

    def fail(self, card: str, text: str) -> None:
        """Tell that the weights of a card could not be fetched. The others are fetched nevertheless."""
        with self._lock:
            self._failed[card] = text

    def load(self, card: str | None, done: int, count: int) -> None:
        """Tell which model is loaded and run for the first time, after how many of how many.

        card: its card; None if that is unknown.
        """
        with self._lock:
            self._card, self._models = card, (done, count)

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON values; empty if nothing was told.

        card: what is worked at. bytes, total_bytes, parts, total_parts: of the weights of the profile, those
        that were there before included; models, total_models: instead of these, once models are loaded.
        failed: by card, why its weights could not be fetched.
        """
        with self._lock:
            told: dict[str, Any] = {} if self._card is None else {"card": self._card}
            if self._models is not None:
                told["models"], told["total_models"] = self._models
            elif self._totals:
                told["bytes"] = sum(self._done.values())
                told["total_bytes"] = sum(self._totals.values())
                told["parts"], told["total_parts"] = len(self._ended), len(self._totals)
            return told | ({"failed": dict(self._failed)} if self._failed else {})

    def __str__(self) -> str:
        """Return it in words, for people; "" if nothing was told."""
        told = self.as_json()
        if "models" in told:
            return f"{told['models']} of {told['total_models']}"
        if not told.get("total_bytes"):
            return ""
        unit, size = ("GiB", _GIB) if told["total_bytes"] >= _GIB else ("MiB", _MIB)
        return f"{told['bytes'] / size:.1f} of {told['total_bytes'] / size:.1f} {unit}"
