"""Bundles: the weights of a profile in one tar file, for a machine without a network."""

import io
import re
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from models.catalog.card import Profile
from models.catalog.source import HubFolder, LocalFolder
from models.errors import BundleError
from models.weights.cache import Manifest, WeightsCache, file_problem

_PREFIX = "weights"
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PIN = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit, or a SHA-256."""


def bundle(profile: Profile, cache: WeightsCache, file: Path) -> None:
    """Write a profile's weights, and the pins of their downloads, to `file`.

    The file is a tar without compression, because weights do not compress. It is written
    atomically. Files made by `WeightFile.prepare` are left out: they depend on the installed
    packages. Raises BundleError if the profile has weights at the user's own paths.
    """
    parts = {part.name: part for card in profile.values() for part in card.parts}
    for part in parts.values():
        if isinstance(part, LocalFolder):
            raise BundleError(f"{part.path} is your own path: copy its weights yourself")
    pins = cache.pins()
    names = [part.repo if isinstance(part, HubFolder) else part.name for part in parts.values()]
    unfinished = file.with_name(f".{file.name}.part")
    try:
        with tarfile.open(unfinished, "w") as tar:
            for part in parts.values():
                tar.add(cache.path(part), f"{_PREFIX}/{part.name}", filter=_plain)
            rows = "".join(f'"{name}" = "{pins[name]}"\n' for name in names if name in pins)
            info = tarfile.TarInfo(f"{_PREFIX}/pins.toml")
            info.size = len(rows.encode())
            tar.addfile(info, io.BytesIO(rows.encode()))
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def unbundle(file: Path, cache: WeightsCache) -> None:
    """Extract a file that `bundle` wrote into the weights folder.

    Raises BundleError if the file is not a bundle, or if a repository or a pinned file in it is damaged.
    """
    cache.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".unpacking-") as name:
        unpacked = Path(name)
        try:
            with tarfile.open(file) as tar:
                tar.extractall(unpacked, filter="data")
        except tarfile.TarError as error:
            raise BundleError(f"{file}: {error}") from error
        inside = WeightsCache(unpacked / _PREFIX)
        if not (inside.folder / "pins.toml").is_file():
            raise BundleError(f"{file} is not a bundle of weights")
        pins = _pins(file, inside)
        _check(file, inside)
        for name, value in pins.items():
            cache.pin(name, value)
        (inside.folder / "pins.toml").unlink()
        for path in [*inside.folder.glob("*"), *inside.folder.glob("tiny/*")]:
            if path.name != "tiny":
                _move(path, cache.folder / path.relative_to(inside.folder))


def _pins(file: Path, inside: WeightsCache) -> dict[str, str]:
    """Return the pins of a bundle; raises BundleError for what is no pin of something in it."""
    try:
        pins = inside.pins()
    except (ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        raise BundleError(f"{file}: its pins.toml cannot be read: {error}") from error
    for name, value in pins.items():
        folder = name.replace("/", "--")
        # A selection of a repository has a folder of its own: org--name--selection.
        here = any(f"{path.name}--".startswith(f"{folder}--") for path in inside.folder.iterdir())
        if not _PIN.fullmatch(value) or not _NAME.fullmatch(name) or not here:
            raise BundleError(f"{file}: pins.toml: {name!r} = {value!r} is no pin of its content")
    return pins


def _check(file: Path, inside: WeightsCache) -> None:
    """Check every repository in a bundle by its manifest, and every pinned file by its checksum."""
    pins = inside.pins()
    pinned = ((path, pins.get(path.name)) for path in inside.folder.iterdir() if path.is_file())
    for path, sha256 in pinned:
        if sha256 is not None and (problem := file_problem(path, None, sha256)):
            raise BundleError(f"{file}: {path.name}: {problem}")
    for folder in inside.folder.iterdir():
        if folder.is_dir() and (manifest := Manifest.read(folder)) is not None:
            whole = HubFolder(manifest.repo, manifest.revision, manifest.patterns, 0)
            selection = folder.name.removeprefix(whole.name).removeprefix("--")
            part = replace(whole, selection=selection)
            if problem := inside.problem(part, thorough=True):
                raise BundleError(f"{file}: {folder.name}: {problem}")


def _move(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    path.rename(target)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out the hub client's cache files, and the owner of each file."""
    if "/.cache/" in f"{info.name}/":
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
