"""The vendored files are those that `VENDORED.toml` lists, with their licences."""

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.places import ROOT

SERVED, FOR_TESTS = ROOT / "server" / "vendored", ROOT / "tests" / "browser" / "axe"


def packages(folder: Path) -> list[dict[str, Any]]:
    """Return what the list of a folder says."""
    found: list[dict[str, Any]] = tomllib.loads((folder / "VENDORED.toml").read_text())["package"]
    return found


@pytest.mark.parametrize(
    ("folder", "package"),
    [(folder, one) for folder in (SERVED, FOR_TESTS) for one in packages(folder)],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_vendored_package_is_unchanged_and_has_its_licence(
    folder: Path, package: dict[str, Any]
) -> None:
    assert package["version"]
    assert package["source"]
    assert package["licence"] in {"MIT", "Apache-2.0"} | (
        {"MPL-2.0"} if folder == FOR_TESTS else set()
    )
    assert any(Path(name).name.startswith("LICENSE") for name in package["files"])
    for name, digest in package["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("folder", [SERVED, FOR_TESTS], ids=["served", "for tests"])
def test_every_vendored_file_is_listed(folder: Path) -> None:
    listed = [name for package in packages(folder) for name in package["files"]]
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "VENDORED.toml"
    }
    assert sorted(listed) == sorted(found)
