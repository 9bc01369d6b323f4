"""Model cards: which backend implements a role, from which weight files, under which licence."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.catalog.source import Folder, HubFolder, MadeFolder, Part, WeightFile
from models.device import DeviceConfig
from models.errors import UnpinnedCodeError
from models.roles import Role

Dtype = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Card:
    """A model that can implement a role.

    backend: its class, as `module:Class`. It is imported only when the card is loaded, so that the
    registry can be read without the packages of other profiles. Its class method `load(paths,
    device_config, **options)` gets the paths of `parts`, in order, and `options`. licence: of the
    weights, then of the packages that run them. memory_mb: memory of the loaded model with the
    buffers of one call, in MiB. work_mb: of these, the buffers. shared_mb: the part of its weights
    that it shares with every loaded card that has the same base and the same options. dtype: of its
    weights on a GPU. torch: whether the backend needs the extra `gpu`. remote_code: whether the first
    folder contains the network's code. That code runs here, so the folder must be pinned to a commit.
    max_batch: largest batch of calls (`models.runtime.scheduler`); 1 if batches are no faster.
    exclusive: whether it takes only one call at a time, because of its memory or state. Torch models
    always do. own: whether a user's profile file describes it, so that it is loaded and run once before
    the server starts. seconds:
    rough time of one call, for 2 megapixels on two processor cores, or of one result at the model's
    own size; None if unknown. asynchronous: whether that is too long for a caller who waits: requests
    with sync=true may not use it.
    """

    role: Role[Any]
    name: str
    backend: str
    files: tuple[WeightFile, ...]
    licence: str
    memory_mb: int
    folders: tuple[Folder, ...] = ()
    work_mb: int = 0
    shared_mb: int = 0
    dtype: Dtype = "float32"
    torch: bool = False
    remote_code: bool = False
    max_batch: int = 1
    exclusive: bool = False
    seconds: float | None = None
    asynchronous: bool = False
    own: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All files and folders that it needs on disk, in the order of the backend's paths."""
        return (*self.files, *self.folders)

    @property
    def base(self) -> Part:
        """The weights that it may share with other cards: its first folder, or its first file if it has none."""
        return (*self.folders, *self.files)[0]

    @property
    def needs_gpu(self) -> bool:
        """Whether it is too slow without a GPU: every torch model but the tiny ones that are made here."""
        return self.torch and not all(isinstance(part, MadeFolder) for part in self.parts)

    @property
    def one_call_at_a_time(self) -> bool:
        """Whether two of its calls must not run at the same time."""
        return self.torch or self.exclusive

    @property
    def weights_mb(self) -> int:
        """Memory of the loaded model between two calls, in MiB."""
        return self.memory_mb - self.work_mb

    @property
    def has_unknown_size(self) -> bool:
        """Whether the size of a file is unknown before its download; `size_mb` leaves it out."""
        return any(file.size is None for file in self.files)

    @property
    def size_mb(self) -> float:
        """Size of the download in MiB. For folders it is approximate."""
        files = sum(file.size or 0 for file in self.files) / 2**20
        return files + sum(part.size_mb for part in self.folders if isinstance(part, HubFolder))

    def load(self, paths: Sequence[Path], device_config: DeviceConfig) -> Any:
        """Load the model; raises the backend's own errors, or ImportError if a package is missing."""
        return self._backend_class().load(paths, device_config, **dict(self.options))

    @property
    def copies_texture(self) -> bool:
        """Whether it is an inpainting model that copies texture; no network in torch does."""
        return not self.torch and getattr(self._backend_class(), "copies_texture", False)

    def _backend_class(self) -> Any:
        module, _, name = self.backend.partition(":")
        return getattr(importlib.import_module(module), name)


Profile = Mapping[Role[Any], Card]


def check_pin(card: Card) -> None:
    """Raise UnpinnedCodeError if a card runs a repository's code without a pinned commit."""
    if not card.remote_code:
        return
    for folder in card.folders[:1]:
        if isinstance(folder, HubFolder) and not folder.pinned:
            raise UnpinnedCodeError(
                f"{card.name} runs code from {folder.repo}, which needs a pinned commit:"
                f' set revision = "<40 hexadecimal digits>" under [cards.{card.name}] in your own'
                " profile file"
            )


def by_name(cards: Iterable[Card]) -> dict[str, Card]:
    """Return cards by name. Raises ValueError if two cards, files or folders have the same name."""
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
