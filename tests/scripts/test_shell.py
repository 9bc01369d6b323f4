"""The shell scripts: they need no more than a POSIX shell, and start from anywhere."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.posix_shell import bash_only

SCRIPTS = [
    path
    for path in sorted([*(ROOT / "scripts").iterdir(), ROOT / "deploy" / "serve-in-cluster"])
    if path.is_file() and path.suffix in ("", ".sh")
]
NAMES = [path.name for path in SCRIPTS]


def code(script: Path) -> list[str]:
    """Return the lines of a script without comments and without the text between single quotes."""
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in script.read_text().splitlines())
    return [re.sub(r"(?<!\$)'[^']*'", "''", line) for line in lines]


def test_the_scripts_of_users_are_among_them() -> None:
    assert {"serve", "test", "weights", "smoke", "benchmark", "deploy-models", "lock"} <= {*NAMES}
    assert {"environment", "profile-environment", "serve-in-cluster", "common.sh"} <= {*NAMES}


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_script_uses_nothing_that_only_bash_has(script: Path) -> None:
    if script.suffix == "":
        assert script.read_text().startswith("#!/bin/sh\n")
        assert os.access(script, os.X_OK)
    assert bash_only(code(script)) == []
    done = subprocess.run(["dash", "-n", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        'for extra in "${extras[@]}"; do',
        "extras+=(gpu)",
        "set -euo pipefail",
        "folder+=-x",
        "X=${X//a/b}",
        'cd "$(dirname "${BASH_SOURCE[0]}")"',
        "if [[ -n $x ]]; then",
        "diff <(a) <(b)",
        "wait -n -p ended",
        "local x=1",
    ],
)
def test_what_only_bash_has_is_found(line: str) -> None:
    assert bash_only([line])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout at a path with blanks, whose environments are there already and print their arguments."""
    folder = tmp_path / "my check out"
    for name in ("scripts", "models", "retouch", "server"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    maker = folder / "scripts" / "environment"
    maker.write_text("#!/bin/sh\nexit 0\n")
    for environment in (".venv", ".venv-gpu", ".venv-cluster", ".venv-test", ".venv-test-gpu"):
        python = folder / environment / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(
            '#!/bin/sh\necho "$PWD"\necho "${0%/bin/python}"\necho "$*"\n'
            'echo "${PYTHONHOME-}${PYTHONPATH-}${PIP_TARGET-}${PIP_USER-}"\n'
        )
        python.chmod(0o755)
    return folder


def run(command: list[str | Path], folder: Path, **variables: str) -> list[str]:
    """Run a script under dash; return the lines of its output."""
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    done = subprocess.run(
        ["dash", *command],
        cwd=folder,
        env={**inherited, "RETOUCH_PORT": "0", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


COMMANDS = [
    (["serve"], ".venv", "-m server"),
    (["weights", "list"], ".venv", "-m retouch weights list"),
    (["weights", "bundle", "open", "o.tar"], ".venv-gpu", "-m retouch weights bundle open o.tar"),
    (["weights", "pack", "open", "o.tar"], ".venv-gpu", "-m retouch weights pack open o.tar"),
    (["weights", "fetch", "open"], ".venv-gpu", "-m retouch weights fetch open"),
    (["weights", "fetch", "--help"], ".venv", "-m retouch weights fetch --help"),
    (["smoke", "http://a b"], ".venv", "-m retouch smoke http://a b"),
    (["deploy-models"], ".venv-cluster", "-m retouch deploy-models"),
    (["test", "tests/a b.py", "-x"], ".venv-test", "-m pytest tests/a b.py -x"),
    (["test", "tests/gpu"], ".venv-test-gpu", "-m pytest tests/gpu"),
    (["openapi"], ".venv-test", "-m retouch openapi --output docs/openapi.json"),
    (
        ["compare", "HEAD", "--profile", "tiny"],
        ".venv-test-gpu",
        "-m scripts.compare HEAD --profile tiny",
    ),
]


@pytest.mark.parametrize(("words", "environment", "arguments"), COMMANDS)
def test_a_script_runs_from_anywhere_and_through_a_link(
    words: list[str], environment: str, arguments: str, checkout: Path, tmp_path: Path
) -> None:
    expected = [str(checkout.resolve()), environment, arguments, "0"]
    name, *rest = words
    link, second = tmp_path / "bin" / f"re {name}", tmp_path / "bin" / "again"
    link.parent.mkdir()
    link.symlink_to(checkout / "scripts" / name)
    second.symlink_to(link.name)
    hostile = {
        "CDPATH": str(tmp_path / "bin"),
        "PYTHONHOME": "/nonsense",
        "PYTHONPATH": "/nonsense",
        "PIP_TARGET": "/nonsense",
        "PIP_USER": "1",
    }
    for start, script in (
        (checkout / "scripts", Path(name)),
        (tmp_path, Path(checkout.name) / "scripts" / name),
        (link.parent, Path(second.name)),
    )[0 if name == "serve" else 2 :]:
        assert run([script, *rest], start, **hostile) == expected, (start, script)


@pytest.mark.parametrize(("torch", "parts"), [("1", 6), ("0", 5)])
def test_the_whole_run_goes_on_after_a_failure_and_tells_how_long_its_parts_took(
    checkout: Path, torch: str, parts: int
) -> None:
    python = checkout / ".venv-test" / "bin" / "python"
    python.write_text("#!/bin/sh\necho ran $*\ncase $* in *--cov*) exit 3 ;; esac\n")
    shutil.copy(python, checkout / ".venv-test-gpu" / "bin" / "python")
    done = subprocess.run(
        ["dash", "scripts/test"],
        cwd=checkout,
        env={**os.environ, "RETOUCH_TEST_GPU": torch},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stdout.count("ran -m pytest") == parts - 1
    assert done.stdout.count("--durations 10") == parts - 1
    told = re.findall(r"^ +\d+ s  (\w+): (\w+)$", done.stdout, re.MULTILINE)
    assert dict(told) == {
        "environment": "passed",
        "fast": "failed",
        "slow": "passed",
        "programs": "passed",
        **({"ray": "passed"} if torch == "1" else {}),
    }
    assert done.stdout.splitlines()[-1].startswith("ran -m pytest")  # pytest's own line is the last


def test_a_taken_port_and_an_unknown_profile_are_refused_before_anything_is_installed(
    checkout: Path,
) -> None:
    maker = checkout / "scripts" / "environment"
    maker.write_text("#!/bin/sh\ntouch installed\n")
    for variables, status, text in (
        ({"RETOUCH_HOST": "192.0.2.1"}, 2, "settings: RETOUCH_HOST 192.0.2.1: this machine has no"),
        (
            {"RETOUCH_PROFILE": " no\r"},
            1,
            "weights: no profile 'no'; there are: bria, cpu, lite, open",
        ),
    ):
        done = subprocess.run(
            ["dash", "scripts/serve"],
            cwd=checkout,
            env={**os.environ, "RETOUCH_PORT": "0", **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status
        assert done.stderr.startswith(text)
        assert done.stderr.count("\n") == 1
        assert not (checkout / "installed").exists()
