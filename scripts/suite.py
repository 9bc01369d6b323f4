"""Runs the tests in the environments that they need; `scripts/test` runs it.

It needs nothing but the standard library, because it runs before anything is installed.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WITHOUT_TORCH = (".venv-test", "cluster,test")
"""The folder of an environment, and its groups of optional dependencies."""
WITH_TORCH = (".venv-test-gpu", "gpu,test")

_FAST = ("-m", "not gpu and not slow", "--numprocesses", "auto")
# A file runs on one process, and those that take longest begin: see `_LONG_FILES` in tests/conftest.py.
_BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder", "--durations", "10")
_PARTS = {
    # On all cores, with a floor for their coverage. Measuring it makes a test take 1.6 times as long, so that the
    # next part has those that repeat a function with other parameters.
    "fast": (
        *("-m", "not gpu and not slow and not repeated", "--numprocesses", "auto"),
        *("--durations", "10", "--cov", "--cov-report="),
    ),
    "slow": (
        *("-m", "not gpu and not program and (slow or repeated)", "--numprocesses", "auto"),
        *_BY_FILE,
    ),
    # Those that start programs wait much, so that there are more of them than cores; each program takes memory.
    "programs": ("-m", "not gpu and program and not alone", "--numprocesses", "3", *_BY_FILE),
    "ray": (
        "tests/cluster",
        "tests/deploy",
        "-m",
        "not gpu and program and alone",
        "--durations",
        "10",
    ),
}
"""The arguments of pytest for each part that needs no torch."""
_TORCH = ("tests/generative", "--numprocesses", "2", *_BY_FILE)


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments name, or the whole suite in parts without any; return the exit status."""
    try:
        match list(arguments):
            case []:
                return _Suite(_wants_torch(os.environ)).run()
            case ["--fast", *rest]:
                return _pytest(WITHOUT_TORCH, *_FAST, *rest)
            case rest:
                torch = any(
                    f"tests/{folder}" in word for word in rest for folder in ("generative", "gpu")
                )
                return _pytest(WITH_TORCH if torch else WITHOUT_TORCH, *rest)
    except KeyboardInterrupt:
        return 130


def _wants_torch(environment: Mapping[str, str]) -> bool:
    return environment.get("RETOUCH_TEST_GPU", "1").strip() != "0"


class _Suite:
    """All parts one after another; each tells its slowest tests, and one that fails stops no other.

    Before the last part stands how long the others took, so that the last line is pytest's own.
    """

    def __init__(self, with_torch: bool) -> None:
        self._with_torch = with_torch
        self._status = 0
        self._durations: list[str] = []

    def run(self) -> int:
        """Run the parts; return the status of the last one that failed, or 0."""
        # Compiling the tests and their assertions is half of collecting them, and each part and process collects.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        self._time("environment", _make, WITHOUT_TORCH)
        self._time("fast", _pytest, WITHOUT_TORCH, *_PARTS["fast"])
        installation = None
        if self._with_torch:
            # Torch is installed meanwhile. The part that needs it waits for it, and tells if it fails.
            installation = subprocess.Popen(  # noqa: S603 - our own script
                ["nice", "scripts/environment", *WITH_TORCH],  # noqa: S607 - found in the PATH, as by a shell
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        for name in ("slow", "programs"):
            self._time(name, _pytest, WITHOUT_TORCH, *_PARTS[name])
        if installation is None:
            self._print_durations()
        self._time("ray", _pytest, WITHOUT_TORCH, *_PARTS["ray"])
        if installation is not None:
            installation.wait()
            self._print_durations()
            self._time("torch", _pytest, WITH_TORCH, *_TORCH)
        return self._status

    def _time(self, name: str, run: Callable[..., int], *arguments: Any) -> None:
        """Run a part; note its status and how long it took."""
        began = time.monotonic()
        status = run(*arguments)
        self._status = status or self._status
        result = "failed" if status else "passed"
        self._durations.append(f"{time.monotonic() - began:5.0f} s  {name}: {result}")

    def _print_durations(self) -> None:
        print("\nDurations of the parts so far:", *self._durations, "", sep="\n", flush=True)


def _make(environment: tuple[str, str]) -> int:
    command = ["scripts/environment", *environment]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own script


def _pytest(environment: tuple[str, str], *arguments: str) -> int:
    """Run pytest in an environment, which is made if it is missing; return the exit status."""
    if status := _make(environment):
        return status
    python = f"{environment[0]}/bin/python"
    command = [python, "-m", "pytest", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - the interpreter of the environment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
