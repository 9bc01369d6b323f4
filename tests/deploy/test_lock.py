"""The lock: only the public index, a hash for each file, in agreement with pyproject.toml and its exports."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.files import DOCKERFILE
from tests.helpers.places import ROOT

LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
OWN = next(package for package in LOCK["package"] if package["name"] == PROJECT["name"])
OTHERS = [package for package in LOCK["package"] if package is not OWN]
EXPORTS = sorted((ROOT / "deploy" / "requirements").glob("*.txt"))

Pin = tuple[str, str]
"""The name and version of a package."""


def files(package: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the wheels and the source archive of a locked package."""
    return [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]


def extras_of(export: Path) -> list[str]:
    return [] if export.stem == "lite" else export.stem.split("-")


def parsed(requirement: str) -> tuple[str, tuple[str, ...], str]:
    """Return the name, the extras and the versions of a requirement."""
    read = Requirement(requirement)
    return canonicalize_name(read.name), tuple(sorted(read.extras)), str(read.specifier)


def pins(export: Path) -> dict[Pin, set[str]]:
    """Return the hashes of each package in a requirement file."""
    text = export.read_text().replace("\\\n", " ")
    found: dict[Pin, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        head, *hashes = re.split(r"\s+--hash=", line.strip())
        (exact,) = Requirement(head).specifier
        assert exact.operator == "=="
        found[canonicalize_name(Requirement(head).name), exact.version] = set(hashes)
    return found


def needed(extras: list[str]) -> set[Pin]:
    """Return the packages that the project needs with these extras on any platform, by the lock's graph."""

    def packages(link: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for package in LOCK["package"]:
            version = package.get("version")
            if (package["name"], version) == (link["name"], link.get("version", version)):
                yield package

    seen: set[tuple[str, str, str]] = set()
    todo = [(OWN, extra) for extra in ("", *extras)]
    while todo:
        package, extra = todo.pop()
        key = package["name"], package.get("version", ""), extra
        if key in seen:
            continue
        seen.add(key)
        links = (
            package.get("optional-dependencies", {}).get(extra, [])
            if extra
            else package.get("dependencies", [])
        )
        for link in links:
            for linked in packages(link):
                todo += [(linked, linked_extra) for linked_extra in ("", *link.get("extra", []))]
    return {(name, version) for name, version, _ in seen if name != OWN["name"]}


def test_every_address_is_in_the_public_index() -> None:
    text = (ROOT / "uv.lock").read_text() + "".join(export.read_text() for export in EXPORTS)
    hosts = {urlsplit(address).hostname for address in re.findall(r'\w+://[^"\s]+', text)}
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    for package in OTHERS:
        assert package["source"] == {"registry": "https://pypi.org/simple"}
        for file in files(package):
            assert file["url"].startswith("https://files.pythonhosted.org/packages/")
    assert OWN["source"] == {"editable": "."}


def test_every_file_has_a_hash_and_every_package_a_wheel() -> None:
    for package in OTHERS:
        # pyvips is pure Python, which pip builds on every platform. Its library is in the wheel of pyvips-binary.
        assert package.get("wheels") or package["name"] == "pyvips", package["name"]
        for file in files(package):
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"])


def test_the_lock_matches_pyproject() -> None:
    requested = {("", *parsed(text)) for text in PROJECT["dependencies"]}
    for extra, requirements in PROJECT["optional-dependencies"].items():
        requested |= {(extra, *parsed(text)) for text in requirements}
    locked = set()
    for row in OWN["metadata"]["requires-dist"]:
        marker = re.fullmatch(r"(?:(?:.* and )?extra == '(\w+)')?", row.get("marker", ""))
        assert marker, row
        text = f"{row['name']}[{','.join(row.get('extras', []))}]{row.get('specifier', '')}"
        locked.add((marker[1] or "", *parsed(text)))
    assert locked == requested
    assert OWN["metadata"]["provides-extras"] == list(PROJECT["optional-dependencies"])
    assert LOCK["requires-python"] == PROJECT["requires-python"]
    limits = {f"{row['name']}{row['specifier']}" for row in LOCK["manifest"].get("constraints", [])}
    assert limits == set(PYPROJECT["tool"]["uv"]["constraint-dependencies"])


def test_pyproject_allows_every_locked_version() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in map(Requirement, [text for group in groups for text in group]):
        name = canonicalize_name(requirement.name)
        versions = [package["version"] for package in LOCK["package"] if package["name"] == name]
        assert versions
        assert all(requirement.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.stem)
def test_an_exported_file_matches_the_lock(export: Path) -> None:
    found = pins(export)
    assert set(found) == needed(extras_of(export))
    hashes = {
        (package["name"], package["version"]): {file["hash"] for file in files(package)}
        for package in OTHERS
    }
    for pin, file_hashes in found.items():
        assert file_hashes == hashes[pin], pin


def test_every_environment_has_an_exported_file() -> None:
    requested = set()
    for script in (ROOT / "scripts").iterdir():
        if script.is_file():
            requested |= set(re.findall(r"scripts/environment \.\S+ ([\w,-]+)", script.read_text()))
    requested -= {"benchmark"}  # only for the figures, not for a server
    requested |= {"-", "gpu", "cluster", "gpu,cluster"}  # from scripts/profile-environment
    names = {extras.replace(",", "-") if extras != "-" else "lite" for extras in requested}
    assert {export.stem for export in EXPORTS} == names


def test_the_images_install_exported_files_with_hashes() -> None:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    assert "COPY deploy/requirements ./requirements" in text
    installs = re.findall(r"/venv/bin/pip install (.*)", text)
    names = [
        re.fullmatch(r"--require-hashes --requirement requirements/([\w-]+)\.txt", words)
        for words in installs
    ]
    assert [name and name[1] for name in names] == ["cluster", "gpu-cluster"]
