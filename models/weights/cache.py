"""The weights cache: where weights are on disk, and the check of their content.

It downloads nothing. The weights folder contains each weight file under its name, each repository
in a folder `org--name` with a manifest of its files, tiny models in `tiny/`, and `pins.toml`: the
commit of each repository and the checksum of each file whose card names none. A second folder
(RETOUCH_MODELS_DIR) has the user's own copies. They have precedence and are not checked.
"""

import fcntl
import hashlib
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from models.catalog.card import Card, Profile
from models.catalog.source import Hub, HubFolder, LocalFolder, MadeFolder, Part, WeightFile

MANIFEST = ".retouch.json"


@dataclass(frozen=True)
class Entry:
    """One file of a manifest. size: in bytes. sha256: hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The files that were downloaded into a folder, by their path in it."""

    repo: str
    revision: str
    patterns: tuple[str, ...]
    files: dict[str, Entry]

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """Return the manifest of a folder; None if there is none, as after an interrupted download."""
        try:
            rows = json.loads((folder / MANIFEST).read_text())
            files = {name: Entry(**row) for name, row in rows["files"].items()}
            return cls(rows["repo"], rows["revision"], tuple(rows["patterns"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the manifest atomically."""
        _replace(folder / MANIFEST, json.dumps(asdict(self), indent=1))


@dataclass(frozen=True)
class WeightsCache:
    """The weights folder, and the folder of the user's own copies (None: there is none)."""

    folder: Path
    copies: Path | None = None

    def copy(self, part: Part) -> Path | None:
        """Return the user's own copy of a part, found as `org--name`, `org/name` or `name`; None if absent."""
        if self.copies is None or isinstance(part, LocalFolder | MadeFolder):
            return None
        if isinstance(part, HubFolder):
            names = _copy_names(part.repo)
        else:
            hubs = [source for source in part.sources if isinstance(source, Hub)]
            in_repos = [f"{name}/{hub.path}" for hub in hubs for name in _copy_names(hub.repo)]
            names = [part.name, *in_repos]
        candidates = (self.copies / name for name in names)
        return next((path for path in candidates if path.exists()), None)

    def path(self, part: Part) -> Path:
        """Return the path of a part, which may not be downloaded yet."""
        if isinstance(part, LocalFolder):
            return part.path
        return self.copy(part) or self.folder / part.name

    def problem(self, part: Part, *, thorough: bool = False) -> str | None:
        """Return what is wrong with a part on disk; None if nothing is.

        A user's own copy must only exist. Weight files are hashed, which takes about 1 s per GB.
        thorough: also hash the files of folders.
        """
        path = self.path(part)
        if isinstance(part, LocalFolder | MadeFolder) or self.copy(part) is not None:
            return None if path.exists() else "missing"
        if isinstance(part, WeightFile):
            sha256 = self.checksum(part)
            if sha256 is None and path.is_file():
                return "no checksum of it was recorded"
            return file_problem(path, part.size, sha256)
        return self._folder_problem(part, path, thorough)

    def _folder_problem(self, part: HubFolder, path: Path, thorough: bool) -> str | None:
        if not path.is_dir():
            return "missing"
        manifest = Manifest.read(path)
        if manifest is None:
            return "not fetched to the end"
        revision = part.revision if part.pinned else self.pins().get(part.repo)
        if revision is not None and manifest.revision != revision:
            return f"commit {manifest.revision} instead of {revision}"
        if manifest.patterns != part.patterns:
            return "fetched for another version of the card"
        for name, entry in manifest.files.items():
            problem = file_problem(path / name, entry.size, entry.sha256 if thorough else None)
            if problem:
                return f"{name}: {problem}"
        return None

    def verify(self, profile: Profile) -> dict[str, str | None]:
        """Check every part of a profile thoroughly. Return, by name, what is wrong or None."""
        parts = {part.name: part for card in profile.values() for part in card.parts}
        return {name: self.problem(part, thorough=True) for name, part in parts.items()}

    def paths(self, card: Card) -> list[Path]:
        """Return the paths of a card's parts, in order."""
        return [self.path(part) for part in card.parts]

    def checksum(self, part: WeightFile) -> str | None:
        """Return the SHA-256 that a file must have, from its card or its first download; None before that."""
        return part.sha256 or self.pins().get(part.name)

    def pins(self) -> dict[str, str]:
        """Return what the first downloads were pinned to: commits by repository, checksums by file name."""
        try:
            rows = tomllib.loads((self.folder / "pins.toml").read_text())
        except FileNotFoundError:
            return {}
        return {name: str(value) for name, value in rows.items()}

    def pin(self, name: str, value: str) -> None:
        """Pin a repository to a commit, or a file to its SHA-256, for all later downloads."""
        with self._locked():
            pins = self.pins() | {name: value}
            rows = [f'"{each}" = "{pins[each]}"\n' for each in sorted(pins)]
            _replace(self.folder / "pins.toml", "".join(rows))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".pins.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def file_problem(path: Path, size: int | None, sha256: str | None = None) -> str | None:
    """Return what is wrong with a file; None if nothing is.

    size, sha256: expected values; None: any.
    """
    if not path.is_file():
        return "missing"
    actual = path.stat().st_size
    if size is not None and actual != size:
        return f"{actual} bytes instead of {size}"
    if sha256 is None:
        return None
    digest = hash_file(path)
    return None if digest == sha256 else f"SHA-256 is {digest} instead of {sha256}"


def hash_file(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copy_names(repo: str) -> list[str]:
    return [repo.replace("/", "--"), repo, repo.rpartition("/")[2]]


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    part.write_text(text)
    part.replace(path)
