"""scripts/harden: each file of a folder is an attack; those that are named run, and the outcome is told."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scripts import harden, hardening
from scripts.harden import attacks, main, summary

ATTACKS = {
    "quiet.py": '"""Finds nothing."""\n\ndef run(minutes):\n    print("asked", minutes)\n    return []\n',
    "loud.py": '"""Finds two things."""\n\ndef run(minutes):\n    return ["it fell", "it broke"]\n',
    "broken.py": '"""Ends early."""\n\ndef run(minutes):\n    raise OSError("no port")\n',
    "common/__init__.py": '"""Shared code, no attack."""\n',
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of attacks beside the real one, which scripts/harden takes for it."""
    root = tmp_path / "own_attacks"
    for name, text in ATTACKS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("own_attacks")
    monkeypatch.setattr(harden, "hardening", package)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_attacks"]:
        del sys.modules[name]


def test_every_file_of_the_folder_is_an_attack(folder: ModuleType) -> None:
    assert list(attacks(folder)) == ["broken", "loud", "quiet"]
    assert summary(folder, "loud") == "Finds two things."


def test_only_those_that_are_named_run(
    folder: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--minutes", "0.5", "quiet"]) == 0
    printed = capsys.readouterr().out
    assert "asked 0.5" in printed
    assert "quiet" in printed.rpartition("== summary")[2]
    assert "withstood" in printed
    assert "loud" not in printed


def test_findings_and_errors_are_told_and_the_others_still_run(
    folder: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 1
    printed = capsys.readouterr().out
    assert "FOUND: it fell\nFOUND: it broke" in printed
    assert "FOUND: The attack ended early: OSError: no port" in printed
    assert "asked 10.0" in printed
    words = [line.split() for line in printed.rpartition("== summary\n")[2].splitlines()]
    assert [(line[0], line[3]) for line in words] == [
        ("broken", "1"),
        ("loud", "2"),
        ("quiet", "withstood"),
    ]


@pytest.mark.parametrize("arguments", [["nobody"], ["--minutes", "0"], ["--minutes", "nan"]])
def test_a_wrong_argument_is_refused_and_nothing_runs(
    folder: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "asked" not in capsys.readouterr().out


def test_the_list_tells_what_each_does(
    folder: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [
        ["broken", "Ends early."],
        ["loud", "Finds two things."],
        ["quiet", "Finds nothing."],
    ]


@pytest.mark.parametrize("name", attacks(hardening))
def test_each_attack_is_documented_and_takes_minutes(name: str) -> None:
    module = importlib.import_module(f"scripts.hardening.{name}")
    assert summary(hardening, name).endswith(".")
    signature = inspect.signature(module.run)
    assert str(signature) == "(minutes: float) -> list[str]"
    assert module.run.__doc__
