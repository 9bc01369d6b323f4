"""The version is the same in the changelog, the package, the API description and the images."""

import re
import tomllib
from datetime import date
from itertools import pairwise

from scripts.openapi import document
from tests.helpers.places import ROOT

HEADING = re.compile(r"^## \[(.+?)\](?: - (\S+))?$", re.MULTILINE)
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
TEXT = (ROOT / "CHANGELOG.md").read_text()


def number(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, for comparison."""
    return tuple(map(int, version.split(".")))


def test_the_changelog_has_the_right_format() -> None:
    (first, undated), *released = HEADING.findall(TEXT)
    assert (first, undated) == ("Unreleased", "")
    for (newer, later), (older, earlier) in pairwise(released):
        assert number(newer) > number(older)
        assert date.fromisoformat(later) >= date.fromisoformat(earlier)
    assert all(date.fromisoformat(day) for _, day in released)
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) <= SECTIONS


def test_the_newest_release_has_the_version_of_the_package() -> None:
    newest = HEADING.findall(TEXT)[1][0]
    assert newest == VERSION
    assert document()["info"]["version"] == VERSION


def test_every_deployment_file_uses_images_of_this_version() -> None:
    pages = (ROOT / "docs").glob("*.md")
    files = [*ROOT.glob("docker-compose*.yml"), *(ROOT / "deploy").glob("*.yaml"), *pages]
    tag = re.compile(r"(?:retouch-(?:cpu|cuda):|newTag: )(\S+)")
    tags = {found for file in files for found in tag.findall(file.read_text())}
    assert tags == {VERSION}
