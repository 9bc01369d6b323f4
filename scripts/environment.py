"""Creates or updates a virtual environment with the tested packages; `scripts/environment` runs it.

It needs nothing but the standard library, because it runs before anything is installed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from scripts.install_progress import Progress

REQUIREMENTS = Path("deploy/requirements")
_FULL = ("No space left on device", "Errno 28", "Disk quota exceeded")
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "ProxyError", "NameResolutionError")
_LAST_LINES = 40
"""How many lines of pip are printed if it fails."""


class InstallError(Exception):
    """The environment could not be made. The text says why and what to do."""


def main(arguments: list[str]) -> int:
    """Make the environment; arguments: the Python, the folder, the extras. Return the exit status."""
    if len(arguments) != 3:
        print("usage: scripts/environment FOLDER EXTRA", file=sys.stderr)
        return 2
    python, name, extra = arguments
    folder = Path(name)
    try:
        wanted = _inputs(extra)
        if _is_made(folder, wanted):
            return 0
        with _locked(folder):
            if not _is_made(folder, wanted):
                _make(python, folder, extra, wanted)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _inputs(extra: str) -> str:
    """Return what identifies the inputs of the environment."""
    digest = hashlib.sha256()
    texts = [sys.version, extra, str(_is_locked()), str(Path.cwd())]
    texts += [Path("pyproject.toml").read_text(), _requirements(extra)]
    for text in texts:
        digest.update(f"{len(text)} {text}".encode())
    return digest.hexdigest()


def _requirements(extra: str) -> str:
    """Return the tested packages of the extras; "" if there is no list of them."""
    with contextlib.suppress(FileNotFoundError):
        return _locked_file(extra).read_text()
    return ""


def _locked_file(extra: str) -> Path:
    return REQUIREMENTS / f"{'lite' if extra == '-' else extra.replace(',', '-')}.txt"


def _is_locked() -> bool:
    return os.environ.get("RETOUCH_LOCKED", "").strip() != "0"


def _is_made(folder: Path, wanted: str) -> bool:
    """Whether the environment is there and was made from the same inputs."""
    try:
        # The Python of the environment is a link, which an upgrade of the system can break.
        made = (folder / "made-from").read_text().strip() == wanted
        return made and (folder / "bin" / "python").exists()
    except (OSError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process makes the environment; the system frees the lock of a dead one."""
    path = Path(f"{folder}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    except OSError as error:
        raise InstallError(_unwritable(folder, error)) from error
    with lock:
        try:
            _lock(lock, folder)
        except OSError as error:
            raise InstallError(f"{path.absolute()} cannot be locked: {error.strerror}") from error
        yield


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another process makes {folder}: waiting for it ...", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    # pip inherits the lock, so that it is held until pip has ended, even if this process is killed.
    os.set_inheritable(lock.fileno(), True)


def _make(python: str, folder: Path, extra: str, wanted: str) -> None:
    """Make the environment anew. `made-from` is written last, so an interrupted install is repeated."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise InstallError(
            f"No folder for temporary files can be written to; set TMPDIR to one. {error.strerror}"
        ) from error
    version = sys.version.partition(" ")[0]
    print(f"Making the environment {folder} with Python {version} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    target = "." if extra == "-" else f".[{extra}]"
    if not _make_with_uv(python, folder, extra, target):
        _make_empty(python, folder)
        installed = _install_tested(folder, extra)
        # Installed packages that fit stay.
        _pip(folder, "install", "--editable", target, newest=not installed)
    _check_place(folder)
    try:
        (folder / "made-from").write_text(f"{wanted}\n")
    except OSError as error:
        raise InstallError(_unwritable(folder, error)) from error
    print(f"Made {folder} in {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)


def _make_with_uv(python: str, folder: Path, extra: str, target: str) -> bool:
    """Make the environment with uv, several times faster than with pip; return whether that was possible.

    It installs the same tested packages and compares the same hashes. It is not possible without uv, without
    tested packages, or if uv fails: it does not read pip's settings, such as the address of a mirror.
    """
    chosen = os.environ.get("RETOUCH_UV", "").strip()
    found = None if chosen == "0" else shutil.which(chosen or "uv")
    uv = None if found is None else str(Path(found).absolute())
    locked = _locked_file(extra)
    if uv is None or not _is_locked() or not locked.is_file():
        return False
    into = ["pip", "install", "--python", str(folder.absolute() / "bin" / "python")]
    hashed = ["--no-deps", "--require-hashes", "--requirement", str(locked.absolute())]
    for words, place in (
        (["venv", "--quiet", "--clear", "--seed", "--python", python, str(folder)], None),
        # Elsewhere, because the constraints in pyproject.toml are for the lock, and have no hashes.
        ([*into, *hashed], "/"),
        ([*into, "--editable", target], None),
    ):
        done = subprocess.run(  # noqa: S603 - the user's own uv
            [uv, *words], stdout=sys.stderr, close_fds=False, cwd=place, check=False
        )
        if done.returncode:
            print(f"{uv} could not do that: installing with pip.", file=sys.stderr, flush=True)
            return False
    return True


def _make_empty(python: str, folder: Path) -> None:
    """Make an environment that has nothing but pip."""
    done = subprocess.run(  # noqa: S603 - the Python that runs this, or that of RETOUCH_PYTHON
        [python, "-m", "venv", "--clear", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,
        check=False,
    )
    if not done.returncode:
        return
    if any(word in done.stdout for word in _FULL):
        raise InstallError(f"{done.stdout}The disk is full. {_free(folder)}")
    hint = ""
    if re.search(r"ensurepip|No module named venv", done.stdout):
        hint = "; on Debian: apt install python3-venv"
    raise InstallError(f"{done.stdout}{python} cannot make a virtual environment{hint}")


def _install_tested(folder: Path, extra: str) -> bool:
    """Install the tested packages, checked by hash; return whether there are any for this platform."""
    locked = _locked_file(extra)
    if not _is_locked():
        print(
            "RETOUCH_LOCKED=0: installing the newest packages that fit, without the tested hashes.",
            file=sys.stderr,
        )
        return False
    if locked.is_file():
        options = ("--no-deps", "--require-hashes", "--requirement", str(locked))
        _pip(folder, "install", *options, total=len(re.findall(r"(?m)^\S+==", locked.read_text())))
        if _run_pip(folder, "freeze").strip():
            return True
    print(
        f"There are no tested packages for this platform and '{extra}':"
        " installing the newest that fit.",
        file=sys.stderr,
    )
    return False


def _pip(folder: Path, *arguments: str, total: int = 0, newest: bool = False) -> None:
    """Run pip with its progress. newest: it looks for packages other than the tested ones."""
    progress = Progress(total)
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    command = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    with subprocess.Popen(  # noqa: S603 - the environment's own pip
        [*command, "--no-input", *arguments, "--progress-bar", "off"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        close_fds=False,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            if not progress.read(line) and line.strip():
                lines.append(line)
    progress.close()
    if process.returncode:
        raise InstallError(_failure("".join(lines), folder, newest))


def _run_pip(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - the environment's own pip
        [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout


def _failure(output: str, folder: Path, newest: bool) -> str:
    """Return the text of pip's failure: what pip printed last, the cause, and what to do."""
    text = f"{output}The packages of {folder} could not be installed; see above."
    if any(word in output for word in _FULL):
        return f"{text}\nThe disk is full. {_free(folder)}"
    if any(word in output for word in _UNREACHABLE):
        return (
            f"{text}\nThe package index cannot be reached: check the network, https_proxy, and"
            " index-url in `pip config list`."
        )
    if newest:
        return text
    # Never the newest instead: a wrong hash may be an attack.
    return f"{text}\nTo install the newest that fit instead, without hashes: RETOUCH_LOCKED=0"


def _unwritable(folder: Path, error: OSError) -> str:
    """Return the text for a file of the environment that cannot be written."""
    text = (
        f"The environment {folder.absolute()} cannot be made: {error.strerror}: {error.filename}."
    )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text} {_free(folder)}"
    return f"{text} Retouch needs a checkout in which this user may write."


def _free(folder: Path) -> str:
    """Return the free space of the folders that an install writes to."""
    places = {folder.absolute(): folder.absolute().parent}
    with contextlib.suppress(OSError):
        temporary = Path(tempfile.gettempdir())
        places[temporary] = temporary
    free = [f"{path}: {shutil.disk_usage(at).free >> 20} MiB" for path, at in places.items()]
    return f"Free now: {', '.join(free)}. Make room there."


def _check_place(folder: Path) -> None:
    """Raise InstallError if pip has installed elsewhere, as its configuration file can tell it to."""
    probe = "import importlib.metadata as m; m.version('retouch')"
    done = subprocess.run(  # noqa: S603 - the environment's own Python
        [str(folder / "bin" / "python"), "-I", "-c", probe], capture_output=True, check=False
    )
    if done.returncode:
        raise InstallError(
            f"pip did not install into {folder}: see `pip config list` for target, prefix or root,"
            " and start again without them."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
