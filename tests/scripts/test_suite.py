"""The parts of the suite: each test is in one of them, a failure of any counts, and the last line is pytest's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import suite
from tests.helpers.places import ROOT

_ENVIRONMENT = """#!/bin/sh
mkdir -p "$1/bin" && cp fake-python "$1/bin/python"
"""
_PYTHON = """#!/bin/sh
echo "$0 $*"
[ -z "$FAILS" ] || case " $* " in *" $FAILS "*) exit 1 ;; esac
[ -z "${PYTHONDONTWRITEBYTECODE+set}" ] || exit 1
echo "===== passed ====="
"""


@pytest.mark.parametrize(
    ("marks", "part"),
    [
        ((), "fast"),
        (("repeated",), "slow"),
        (("slow",), "slow"),
        (("slow", "program"), "programs"),
        (("slow", "program", "alone"), "ray"),
        (("gpu",), None),
        (("gpu", "slow"), None),
    ],
)
def test_each_test_is_in_one_part(marks: tuple[str, ...], part: str | None) -> None:
    known = {"gpu", "slow", "program", "alone", "repeated"}
    names = {name: name in marks for name in known}
    found = [
        name
        for name, arguments in suite._PARTS.items()
        if eval(arguments[arguments.index("-m") + 1], {}, names)
    ]
    assert found == ([part] if part else [])


def test_the_files_that_begin_first_are_there() -> None:
    """tests/conftest.py names them; one that was renamed would begin last, beside idle cores."""
    text = (ROOT / "tests" / "conftest.py").read_text()
    names = text.partition("_LONG_FILES = (")[2].partition(")")[0]
    files = re.findall(r'"(.+)"', names)
    assert len(files) > 5
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with environments whose Python prints its arguments."""
    script = tmp_path / "scripts" / "environment"
    script.parent.mkdir()
    script.write_text(_ENVIRONMENT)
    (tmp_path / "fake-python").write_text(_PYTHON)
    for file in (script, tmp_path / "fake-python"):
        file.chmod(0o755)
    return tmp_path


def run(checkout: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "scripts.suite"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("gpu", "last"), [("1", "tests/generative"), ("0", "tests/cluster")])
def test_it_runs_all_parts_and_ends_with_what_pytest_says(
    checkout: Path, gpu: str, last: str
) -> None:
    done = run(checkout, RETOUCH_TEST_GPU=gpu, FAILS="")
    assert done.returncode == 0, done.stdout + done.stderr
    before, _, after = done.stdout.partition("Durations of the parts so far:")
    parts = ["environment", "fast", "slow", "programs", *(["ray"] if gpu == "1" else [])]
    told = [line.split("s  ")[1] for line in after.splitlines() if " s  " in line]
    assert told == [f"{name}: passed" for name in parts]
    runs = [line for line in done.stdout.splitlines() if " -m pytest " in line]
    assert len(runs) == 4 + int(gpu)
    assert last in runs[-1]
    assert before.count(" -m pytest ") == len(parts) - 1
    assert after.splitlines()[-1] == "===== passed ====="


@pytest.mark.parametrize("part", ["--cov", "repeated)", "3", "tests/cluster", "tests/generative"])
def test_a_part_that_fails_stops_no_other_and_is_the_status(checkout: Path, part: str) -> None:
    done = run(checkout, RETOUCH_TEST_GPU="1", FAILS=part)
    assert done.returncode == 1
    assert done.stdout.count(" -m pytest ") == 5
    if part != "tests/generative":
        assert ": failed" in done.stdout
