"""Compares the results of every route at two commits: both servers get the same calls."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx2 as httpx

from scripts.result_differences import differences
from scripts.route_calls import Recorder, every_route

ROOT = Path(__file__).resolve().parents[1]
_TIMEOUT_S = 600
_LISTENS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


def main() -> int:
    """Report the differences; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("head", nargs="?", help="the other commit (default: the working tree)")
    parser.add_argument("--profile", choices=["lite", "tiny"], default="lite")
    parser.add_argument("--only", default="", help="only calls with this text in their name")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "compare")
    chosen = parser.parse_args()
    folder = chosen.folder / chosen.profile
    shutil.rmtree(folder, ignore_errors=True)

    def serve_and_record(side: str, commit: str | None) -> None:
        log = folder / f"{side}.log"
        with checkout(commit) as tree, served(tree, chosen.profile, log) as address:
            record(address, folder / side, chosen.only)

    # Both at the same time: each sends its calls one after the other, which uses few processors.
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(serve_and_record, ("base", "head"), (chosen.base, chosen.head)))
    return report(folder / "base", folder / "head")


@contextmanager
def checkout(commit: str | None) -> Iterator[Path]:
    """Yield a folder with the files of a commit; the working tree for None."""
    if commit is None:
        yield ROOT
        return
    command = ["git", "archive", "--format=tar", commit]
    archive = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    with tempfile.TemporaryDirectory(prefix="retouch-compare-") as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        yield Path(folder)


@contextmanager
def served(tree: Path, profile: str, log: Path) -> Iterator[str]:
    """Start the server of a source tree on a free port with its own data; yield its address.

    The weights of `lite` are those of the checkout, fetched once; those of `tiny` are made again, with
    fixed seeds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="retouch-compare-data-") as data:
        if profile == "lite":
            weights = Path(os.environ.get("RETOUCH_DATA_DIR", ROOT / "data")).resolve() / "weights"
            weights.mkdir(parents=True, exist_ok=True)
            (Path(data) / "weights").symlink_to(weights)
        environment = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
        environment.update(
            RETOUCH_DATA_DIR=data,
            RETOUCH_PORT="0",
            RETOUCH_PROFILE=profile,
            RETOUCH_WORKERS="2",
            RETOUCH_DRAIN_S="0",
            RETOUCH_DEVICE="cpu",
        )
        command = [sys.executable, "-m", "server"]
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - another version of this program
                command, cwd=tree, env=environment, stdout=out, stderr=out
            )
        try:
            yield _address(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_TIMEOUT_S)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the server is ready; return its address."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = _LISTENS.search(log.read_text())
        if found and httpx.get(f"{found[1]}/readyz", timeout=_TIMEOUT_S).is_success:
            return found[1]
        time.sleep(0.2)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def record(address: str, folder: Path, only: str) -> None:
    """Make all calls and store their results."""
    with httpx.Client(base_url=address, timeout=_TIMEOUT_S) as client:
        recorder = Recorder(client, folder)
        for calls in every_route():
            if any(only in call.name for call in calls):
                recorder.record(calls)


def report(base: Path, head: Path) -> int:
    """Print what differs and how much was compared."""
    names = sorted({path.name for folder in (base, head) for path in folder.iterdir()})
    kinds: Counter[str] = Counter()
    differing = 0
    for name in names:
        one, other = base / name, head / name
        if not (one.exists() and other.exists()):
            lines = [f"only in {base.name if one.exists() else head.name}"]
        else:
            extension = other.suffix[1:]
            lines = [str(d) for d in differences(extension, one.read_bytes(), other.read_bytes())]
        kinds[Path(name).suffix[1:]] += 1
        if lines:
            differing += 1
            print(f"{name}: differs", *lines, sep="\n    ")
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    verdict = f"{differing} differ" if differing else "identical"
    print(f"{len(names)} files ({counted}): {verdict}; they are in {base.parent}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
