"""Fetches the files of a repository into a folder, with checks, by a process that can be stopped."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.catalog.source import HubFolder
from models.deadline import checkpoint
from models.errors import WeightsUnavailableError, WorkCancelledError
from models.weights.cache import MANIFEST, Entry, Manifest, WeightsCache, file_problem, hash_file
from models.weights.resume import CHUNK, Progress
from models.weights.selection import one_of_each

LISTING_TIMEOUT_S = 30.0
"""Seconds to wait for the hub's list of a repository's files."""
STALLED_S = 120.0
"""Seconds without a new byte after which a fetch fails. The client itself retries what it can retry before."""
_POLL_S = 0.2
_CLIENT = Path(__file__).with_name("hub_client.py")
_SPECIAL = "*?["
"""Characters of a file's name that the client would read as a pattern."""


class _ClientError(Exception):
    """The hub's client failed. kind: the name of its error's class."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def hub_endpoint() -> str:
    """Return the address of the hub without a slash at its end; HF_ENDPOINT overrides it."""
    return (os.environ.get("HF_ENDPOINT", "").strip() or "https://huggingface.co").rstrip("/")


def fetch_folder(part: HubFolder, cache: WeightsCache, thorough: bool, progress: Progress) -> None:
    """Fetch the files of a repository; the hub's client resumes an interrupted download.

    thorough: also hash the files that are there. Raises WeightsUnavailableError, also if no byte comes for
    STALLED_S, and WorkCancelledError within a moment.
    """
    if cache.problem(part, thorough=thorough) is None:
        return
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise WeightsUnavailableError(f"{part}: the extra `gpu` is not installed") from error
    folder = cache.path(part)
    wanted = part.revision or cache.pins().get(part.repo)
    try:
        # Passed to the client, because it would take an empty variable for an address.
        api = HfApi(hub_endpoint())
        info = api.model_info(
            part.repo, revision=wanted, files_metadata=True, timeout=LISTING_TIMEOUT_S
        )
        commit = str(info.sha)
        if not part.pinned:
            cache.pin(part.repo, commit)
        (folder / MANIFEST).unlink(missing_ok=True)
        if not (listed := _listed(part, info)):
            raise WeightsUnavailableError(f"{part} has no file like {', '.join(part.patterns)}")
        for name, sibling in listed.items():
            # The client does not check a file that it has written before, even if it has changed.
            if _sibling_problem(folder / name, sibling):
                (folder / name).unlink(missing_ok=True)
        _download(part, commit, folder, listed, progress)
    except (WorkCancelledError, WeightsUnavailableError):
        raise
    except Exception as error:
        # The client passes on the errors of its HTTP library, which can change.
        raise WeightsUnavailableError(_failure(part, error)) from error
    _write_manifest(part, commit, folder, listed)


def _download(
    part: HubFolder, commit: str, folder: Path, listed: dict[str, Any], progress: Progress
) -> None:
    """Run the client in a process of its own until all files are there."""
    arguments = {
        "repo_id": part.repo,
        "revision": commit,
        "local_dir": str(folder),
        "allow_patterns": ["".join(f"[{c}]" if c in _SPECIAL else c for c in n) for n in listed],
        "endpoint": hub_endpoint(),
    }
    total = sum(sibling.size or 0 for sibling in listed.values())
    with subprocess.Popen(  # noqa: S603 - fixed words
        [sys.executable, "-P", str(_CLIENT)],  # -P: its folder has modules named like others
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None and client.stdout is not None  # noqa: S101, PT018 - pipes
        try:
            client.stdin.write(f"{json.dumps(arguments)}\n")
            client.stdin.flush()
            _await(client, folder, listed, total, lambda done: progress(str(part), done, total))
        except BaseException:
            client.kill()
            raise
        told = client.stdout.read()
        if client.returncode:
            raise _client_error(told, client.returncode)
    progress(str(part), total, total)


def _client_error(told: str, status: int) -> _ClientError:
    """Return why a client failed. told: what it printed; status: of its exit, negative for a signal."""
    lines = told.strip().splitlines()
    if status != 1 or not lines:
        return _ClientError("OSError", f"the hub's client ended with status {status}")
    failure = json.loads(lines[-1])
    return _ClientError(failure["kind"], failure["text"])


def _await(
    client: "subprocess.Popen[str]",
    folder: Path,
    listed: dict[str, Any],
    total: int,
    tell: Callable[[int], None],
) -> None:
    """Wait for the end of a client, and tell of its progress; raises TimeoutError if there is none."""
    done, written, since = -1, 0, time.monotonic()
    while True:
        now = min(total, _bytes_in(folder, listed))
        activity = _written_by(client.pid)
        if now > done or activity >= written + CHUNK:
            done, written, since = max(now, done), activity, time.monotonic()
            tell(done)
        try:
            client.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            checkpoint()
            if time.monotonic() > since + STALLED_S:
                raise TimeoutError(f"no byte came for {STALLED_S:.0f} s") from None
        else:
            return


def _bytes_in(folder: Path, listed: dict[str, Any]) -> int:
    """Return how many bytes of the listed files are in a folder, also of those that are not complete.

    Of these, what the disk holds counts: the client can write the end of a file before its middle.
    """
    sizes = 0
    complete = [(folder / name, False) for name in listed]
    for file, is_sparse in [
        *complete,
        *((one, True) for one in (folder / ".cache").rglob("*.incomplete")),
    ]:
        try:
            found = file.stat()
        except FileNotFoundError:  # not begun, or complete and moved meanwhile
            continue
        sizes += min(found.st_size, found.st_blocks * 512) if is_sparse else found.st_size
    return sizes


def _written_by(process: int) -> int:
    """Return how many bytes a process has written, to see that it works; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/io").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), 0)


def _listed(part: HubFolder, info: Any) -> dict[str, Any]:
    """Return the hub's entry of each file that the card wants."""
    from huggingface_hub.utils import filter_repo_objects

    entries = {sibling.rfilename: sibling for sibling in info.siblings or []}
    names = filter_repo_objects(entries, allow_patterns=list(part.patterns))
    return {name: entries[name] for name in one_of_each(names, part.variant)}


def _sibling_problem(path: Path, sibling: Any) -> str | None:
    """Compare a file with the hub's entry, which has a checksum for large files only."""
    return file_problem(path, sibling.size, sibling.lfs.sha256 if sibling.lfs else None)


def _write_manifest(part: HubFolder, commit: str, folder: Path, listed: dict[str, Any]) -> None:
    """Check the fetched files against the hub's list, and write the manifest."""
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


def _failure(part: HubFolder, error: Exception) -> str:
    kind = error.kind if isinstance(error, _ClientError) else type(error).__name__
    text = (str(error).strip() or kind).splitlines()[0]
    if part.gated and kind in ("GatedRepoError", "RepositoryNotFoundError"):
        page = f"https://huggingface.co/{part.repo}"
        text = f"gated: accept its licence at {page} and set HF_TOKEN ({text})"
    return f"{part} could not be fetched: {kind}: {text}"
