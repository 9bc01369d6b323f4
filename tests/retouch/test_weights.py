"""The command `retouch weights`: what it says about weights, and bundles."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from retouch.command import app
from tests.helpers.places import ROOT


def run(*words: str) -> Result:
    """Run `retouch weights`."""
    return CliRunner().invoke(app, ["weights", *words])


@pytest.fixture
def into(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Choose the data folder."""
    return lambda folder: monkeypatch.setenv("RETOUCH_DATA_DIR", str(folder))


def test_missing_weights_are_reported(tmp_path: Path, into: Callable[[Path], None]) -> None:
    into(tmp_path)
    result = run("verify", "lite")
    assert result.exit_code == 1
    assert f"{tmp_path / 'weights' / 'u2netp.onnx'}: missing" in result.stdout
    listed = run("list")
    assert listed.exit_code == 0
    assert "u2netp" in listed.stdout
    assert "birefnet" in listed.stdout
    assert "birefnet" not in run("list", "lite").stdout


@pytest.mark.parametrize("words", [["list", "no"], ["verify", "no"], ["bundle", "no", "b.tar"]])
def test_an_unknown_profile_is_refused(words: list[str]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("weights: no profile 'no'; there are: ")


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path, into: Callable[[Path], None]) -> None:
    into(tmp_path)
    (tmp_path / "b.tar").write_bytes(b"no tar")
    for file in ("b.tar", "missing.tar"):
        result = run("unbundle", str(tmp_path / file))
        assert result.exit_code == 2
        assert result.stderr.startswith("weights: ")


@pytest.mark.parametrize(("bundle", "unbundle"), [("bundle", "unbundle"), ("pack", "unpack")])
def test_lite_is_bundled_and_unbundled_elsewhere(
    bundle: str,
    unbundle: str,
    tmp_path: Path,
    weights_dir: Path,
    lite: object,
    into: Callable[[Path], None],
) -> None:
    into(weights_dir.parent)
    assert run(bundle, "lite", str(tmp_path / "lite.tar")).exit_code == 0
    into(tmp_path / "elsewhere")
    assert run("verify", "lite").exit_code == 1
    refused = run(bundle, "lite", str(tmp_path / "no.tar"))
    assert refused.exit_code == 1
    assert refused.stderr.endswith("weights: fetch the profile first\n")
    assert run(unbundle, str(tmp_path / "lite.tar")).exit_code == 0
    assert run("verify", "lite").exit_code == 0
    names = {path.name for path in (tmp_path / "elsewhere" / "weights").iterdir()}
    assert "u2netp.onnx" in names
    # It depends on the packages of this machine.
    assert not any("rewritten" in name for name in names)


def test_the_old_words_are_not_in_the_help() -> None:
    text = run("--help").stdout
    assert "unbundle" in text
    assert "unpack" not in text


def test_the_script_runs_the_command() -> None:
    script = ROOT / "scripts" / "weights"
    assert os.access(script, os.X_OK)
    assert "-m retouch weights" in script.read_text()
