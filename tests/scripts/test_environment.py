"""The environments of the scripts: what is installed, and what happens when that fails."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

CALL = re.compile(r"scripts/environment (\.venv\S*) (\S+)")


def test_no_script_rebuilds_the_environment_of_another() -> None:
    wanted: dict[str, set[str]] = {}
    for script in sorted((ROOT / "scripts").iterdir()):
        if script.is_file() and script.suffix == "":
            for folder, extras in CALL.findall(script.read_text()):
                wanted.setdefault(folder, set()).add(extras)
    assert wanted[".venv-test"] == {"cluster,test"}
    assert all(len(extras) == 1 for extras in wanted.values()), wanted


PYTHON = """\
#!/bin/sh
# Stands for Python, venv and pip: writes its arguments to $CALLS.
echo "$*" >>"$CALLS"
case "$*" in
  *"-m venv --clear"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  *--require-hashes*) exit "$HASHED" ;;
  *freeze*) echo "$INSTALLED" ;;
  -c*) exit "$TOO_OLD" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the script, its requirements and a fake Python."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "environment", folder / "scripts")
    shutil.copytree(ROOT / "deploy" / "requirements", folder / "deploy" / "requirements")
    (folder / "pyproject.toml").write_text("")
    python = folder / "my python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def make(checkout: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Make the environment `.venv`; return the process and what was installed, in order."""
    calls = checkout / "calls"
    calls.unlink(missing_ok=True)
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    fake = {"CALLS": str(calls), "HASHED": "0", "INSTALLED": "numpy==2.0", "TOO_OLD": "0"}
    chosen = {"RETOUCH_PYTHON": str(checkout / "my python"), **variables}
    done = subprocess.run(
        ["scripts/environment", ".venv", "-"],
        cwd=checkout,
        env={**inherited, **fake, **chosen},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = calls.read_text().splitlines() if calls.exists() else []
    return done, [line for line in lines if " install " in line]


def test_the_tested_packages_are_installed_by_hash_and_once(checkout: Path) -> None:
    done, (locked, own) = make(checkout)
    assert done.returncode == 0
    assert "--require-hashes --requirement deploy/requirements/lite.txt" in locked
    assert own.endswith("--editable .")
    assert make(checkout)[1] == []


def test_a_package_that_does_not_match_its_hash_is_never_replaced(checkout: Path) -> None:
    done, installed = make(checkout, HASHED="1")
    assert done.returncode == 1
    assert len(installed) == 1
    assert "RETOUCH_LOCKED=0" in done.stderr
    assert not (checkout / ".venv" / "made-from").exists()
    assert len(make(checkout)[1]) == 2


def test_the_newest_packages_are_installed_only_on_request_or_without_tested_ones(
    checkout: Path,
) -> None:
    done, installed = make(checkout, RETOUCH_LOCKED="0")
    assert done.returncode == 0
    assert not any("--require-hashes" in line for line in installed)
    done, installed = make(checkout, INSTALLED="")
    assert done.returncode == 0
    assert "no tested packages for this platform" in done.stderr
    assert len(installed) == 2


@pytest.mark.parametrize("variables", [{"TOO_OLD": "1"}, {"RETOUCH_PYTHON": "/no/python"}])
def test_an_unusable_python_is_named(checkout: Path, variables: dict[str, str]) -> None:
    done, installed = make(checkout, **variables)
    assert (done.returncode, installed) == (1, [])
    assert done.stderr.startswith("Retouch needs Python 3.11 or newer; RETOUCH_PYTHON is /")
    assert done.stderr.count("\n") == 1
