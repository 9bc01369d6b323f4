"""The files, links and settings in the documentation exist."""

import re
from pathlib import Path

import pytest

from models.settings import known_names
from tests.helpers.contributing_page import EXAMPLES
from tests.helpers.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Paths in backticks that begin with a folder of the repository, without placeholders.
FOLDERS = r"\.ci|deploy|docs|imaging|models|pipelines|retouch|scripts|server|storage|tests"
PATH = re.compile(rf"`(?:\./)?((?:{FOLDERS})/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"\bRETOUCH_[A-Z][A-Z0-9_]*[A-Z0-9]\b")


def name(page: Path) -> str:
    """Return the path of a page in the repository."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_in_a_page_exists(page: Path) -> None:
    for path in set(PATH.findall(page.read_text())) - EXAMPLES.get(name(page), set()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_in_a_page_has_a_target(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_in_a_page_exists(page: Path) -> None:
    if name(page) == "CHANGELOG.md":  # it names removed settings
        return
    misspelt = {"RETOUCH_PORTT", "RETOUCH_PROT"} if name(page) == "docs/settings.md" else set()
    assert set(SETTING.findall(page.read_text())) - known_names() - misspelt == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_pattern_finds_paths() -> None:
    assert len(PATH.findall((ROOT / "docs" / "architecture.md").read_text())) > 30
