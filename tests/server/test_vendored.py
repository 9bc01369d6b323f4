"""The vendored files are those that `VENDORED.toml` lists, with their licences."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.places import ROOT

FOLDER = ROOT / "server" / "vendored"
PACKAGES: list[dict[str, Any]] = tomllib.loads((FOLDER / "VENDORED.toml").read_text())["package"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_a_vendored_package_is_unchanged_and_has_its_licence(package: dict[str, Any]) -> None:
    assert package["version"]
    assert package["source"]
    assert package["licence"] in {"MIT", "Apache-2.0"}
    assert any(Path(name).name.startswith("LICENSE") for name in package["files"])
    for name, digest in package["files"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


def test_every_vendored_file_is_listed() -> None:
    listed = [name for package in PACKAGES for name in package["files"]]
    found = {
        str(path.relative_to(FOLDER))
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "VENDORED.toml"
    }
    assert sorted(listed) == sorted(found)
