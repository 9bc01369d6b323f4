"""The examples of CONTRIBUTING.md, which its reader writes into files."""

import re

from tests.helpers.places import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FILES = {
    "models/backends/classical/grabcut.py": "class GrabCut",
    "tests/models/backends/classical/test_grabcut.py": "def test_a_disc_is_the_subject",
    "pipelines/background_grey.py": "def background_grey",
    "tests/pipelines/test_background_grey.py": "def test_only_the_background_turns_grey",
    "server/v1/background_grey.py": "OPERATION = Operation(",
    "tests/server/test_background_grey.py": "def test_the_background_turns_grey",
}
"""The file for each Python block of the page, and a text that only this block contains."""


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
"""Files that the reader of a page writes."""


def block(containing: str) -> str:
    """Return the block of the page that contains a text, without its indentation."""
    found = [match for match in BLOCK.finditer(PAGE) if containing in match[3]]
    assert len(found) == 1, containing
    (match,) = found
    return re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
