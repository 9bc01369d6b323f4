"""The form of a model card: what plays a role, from which files, under what licence."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.catalog.source import Folder, HubFolder, Part, WeightFile
from models.device import DeviceConfig
from models.errors import UnpinnedCodeError
from models.roles import Role

Dtype = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Card:
    """A model that can play a role.

    backend: its class, as `module:Class`, imported only when the card is loaded, so that the registry can
    be read where the packages of other profiles are not installed. Its class method `load(paths,
    device_config, **options)` takes the paths of `parts`, in order, and `options`.
    licence: of the weights, then of the packages that run them. memory_mb: what it holds once
    loaded, working buffers of one call included, in MiB. shared_mb: of that, what every loaded card
    with the same first folder holds together with it. dtype: how it holds its weights on a GPU.
    torch: its backend needs the extra `gpu`. remote_code: its first folder brings its own modelling
    code, which runs here, so that only a pinned commit is taken. max_batch: calls that it makes at once
    (`models.runtime.scheduler`); 1 where that gains nothing. exclusive: it takes one call at a time, for its
    working memory or its state; models on torch always do.
    """

    role: Role[Any]
    name: str
    backend: str
    files: tuple[WeightFile, ...]
    licence: str
    memory_mb: int
    folders: tuple[Folder, ...] = ()
    shared_mb: int = 0
    dtype: Dtype = "float32"
    torch: bool = False
    remote_code: bool = False
    max_batch: int = 1
    exclusive: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that it needs on disk, in the order that the backend takes the paths."""
        return (*self.files, *self.folders)

    @property
    def one_call_at_a_time(self) -> bool:
        """Whether no two of its calls may run side by side."""
        return self.torch or self.exclusive

    @property
    def size_mb(self) -> float:
        """What there is to fetch, in MiB; of folders about."""
        files = sum(file.size or 0 for file in self.files) / 2**20
        return files + sum(part.size_mb for part in self.folders if isinstance(part, HubFolder))

    def load(self, paths: Sequence[Path], device_config: DeviceConfig) -> Any:
        """Load the model; raises what its backend raises, ImportError where a package is missing."""
        module, _, name = self.backend.partition(":")
        kind = getattr(importlib.import_module(module), name)
        return kind.load(paths, device_config, **dict(self.options))


Profile = Mapping[Role[Any], Card]


def check_pin(card: Card) -> None:
    """Raise UnpinnedCodeError when a card would run code that can change under its name."""
    if not card.remote_code:
        return
    for folder in card.folders[:1]:
        if isinstance(folder, HubFolder) and not folder.pinned:
            raise UnpinnedCodeError(
                f"{card.name} runs code from {folder.repo}, which is only taken at a pinned commit:"
                f' set revision = "<40 hexadecimal digits>" under [cards.{card.name}] in a profile'
                " file of your own"
            )


def by_name(cards: Iterable[Card]) -> dict[str, Card]:
    """Index cards by name; a name given to two cards, files or folders is a ValueError."""
    index: dict[str, Card] = {}
    parts: dict[str, Part] = {}
    for card in cards:
        if card.name in index:
            raise ValueError(f"two cards are named {card.name}")
        index[card.name] = card
        for part in card.parts:
            if parts.setdefault(part.name, part) != part:
                raise ValueError(f"two different weight files are named {part.name}")
    return index
