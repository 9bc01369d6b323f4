"""The pages name files and links that there are, and settings that are read."""

import re
from pathlib import Path

import pytest

from models.settings import known_names
from tests.helpers.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Backticked paths of the repository: at least one slash or a known ending, no placeholders.
FOLDERS = r"\.ci|deploy|docs|imaging|models|pipelines|scripts|server|storage|tests"
PATH = re.compile(rf"`(?:\./)?((?:{FOLDERS})/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"\bRETOUCH_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
EXAMPLES = {
    "CONTRIBUTING.md": {
        "models/backends/classical/grabcut.py",
        "pipelines/background_grey.py",
        "server/v1/background_grey.py",
        "tests/models/backends/classical/test_grabcut.py",
        "tests/pipelines/test_background_grey.py",
        "tests/server/test_background_grey.py",
    }
}
"""Files that a page tells its reader to write."""


def name(page: Path) -> str:
    """Return a page's path in the repository."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    for path in set(PATH.findall(page.read_text())) - EXAMPLES.get(name(page), set()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_that_a_page_names_is_read(page: Path) -> None:
    if name(page) == "CHANGELOG.md":  # it names what was removed
        return
    misspelt = {"RETOUCH_PORTT", "RETOUCH_PROT"} if name(page) == "docs/settings.md" else set()
    assert set(SETTING.findall(page.read_text())) - known_names() - misspelt == set()


def test_the_pages_name_files_at_all() -> None:
    assert len(PATH.findall((ROOT / "docs" / "architecture.md").read_text())) > 30
