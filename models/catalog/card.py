"""The form of a model card: what plays a role, from which files, under what licence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from models.catalog.source import Folder, HubFolder, Part, WeightFile
from models.errors import UnpinnedCodeError
from models.placement import DeviceConfig

Role = Literal[
    "matting",
    "inpainting",
    "segmentation",
    "super_resolution",
    "face_analysis",
    "moderation",
    "generative_fill",
    "scene_generation",
    "outpainting",
    "face_editing",
    "captioning",
    "prompt_refinement",
]
ROLES: tuple[Role, ...] = get_args(Role)

Dtype = Literal["float32", "float16", "bfloat16"]

Build = Callable[[Sequence[Path], DeviceConfig], Any]
"""(paths of the card's files, then of its folders, in the card's order; where to run) -> the role's
object."""


@dataclass(frozen=True)
class Card:
    """A model that can play a role.

    licence: of the weights, then of the packages that run them. memory_mb: what it holds once
    loaded, working buffers of one call included, in MiB. shared_mb: of that, what every loaded card
    with the same first folder holds together with it. dtype: how it holds its weights on a GPU.
    torch: its backend needs the extra `gpu`. remote_code: its first folder brings its own modelling
    code, which runs here, so that only a pinned commit is taken. max_batch: calls that it makes at once
    (`models.runtime.batching`); 1 where that gains nothing.
    """

    role: Role
    name: str
    build: Build
    files: tuple[WeightFile, ...]
    licence: str
    memory_mb: int
    folders: tuple[Folder, ...] = ()
    shared_mb: int = 0
    dtype: Dtype = "float32"
    torch: bool = False
    remote_code: bool = False
    max_batch: int = 1

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that it needs on disk, in the order that `build` takes the paths."""
        return (*self.files, *self.folders)

    @property
    def size_mb(self) -> float:
        """What there is to fetch, in MiB; of folders about."""
        files = sum(file.size or 0 for file in self.files) / 2**20
        return files + sum(part.size_mb for part in self.folders if isinstance(part, HubFolder))


Profile = Mapping[Role, Card]


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
