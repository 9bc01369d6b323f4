"""The file of `retouch bundle` is enough on a machine without a network: install, serve, every route."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retouch.bundle import INSIDE
from retouch.command import app
from retouch.platform_name import platform_name
from tests.helpers import closed_network

_TIMEOUT_S = 600


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: object) -> Path:
    """The folder in a bundle of `lite`."""
    folder = tmp_path_factory.mktemp("bundle")
    file = folder / "lite.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETOUCH_DATA_DIR", str(weights_dir.absolute().parent))
        done = CliRunner().invoke(app, ["bundle", "--profile", "lite", "-o", str(file)])
    assert done.exit_code == 0, done.output
    assert list(folder.iterdir()) == [file]
    with tarfile.open(file) as tar:
        tar.extractall(folder, filter="data")
    file.unlink()
    return folder / INSIDE


def may_unshare() -> bool:
    """Whether this user may make network namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


def test_it_has_a_hash_for_each_wheel_and_no_index(unpacked: Path) -> None:
    lines = (unpacked / "requirements.txt").read_text().splitlines()
    wheels = {path.name.split("-")[0] for path in (unpacked / "wheels").iterdir()}
    assert {line.partition("==")[0] for line in lines} == wheels
    assert "retouch" in wheels
    assert all(" --hash=sha256:" in line for line in lines)
    assert (unpacked / "platform").read_text() == f"{platform_name()}\n"


def test_another_python_is_refused_before_anything_is_installed(
    unpacked: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(unpacked, copy, ignore=shutil.ignore_patterns("wheels", "docs", "weights.tar"))
    (copy / "platform").write_text("cpython 2.7 linux-vax\n")
    done = subprocess.run([copy / "install", tmp_path / "to"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "This bundle is for cpython 2.7 linux-vax" in done.stderr
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.skipif(not may_unshare(), reason="network namespaces are not permitted here")
def test_without_a_network_it_installs_and_every_route_answers(
    unpacked: Path, tmp_path: Path
) -> None:
    names = ("PATH", "LANG", "TMPDIR")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"HOME": str(tmp_path), "RETOUCH_PYTHON": sys.executable}
    environment["PIP_TARGET"] = str(tmp_path / "elsewhere")  # a setting of pip that must not count
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, closed_network.__file__, unpacked, tmp_path / "to"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    assert "no route: Network is unreachable" in done.stdout
    assert done.stdout.count("ok  200") >= 10
    assert "ended with 0" in done.stdout
