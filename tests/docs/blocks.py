"""The fenced blocks of the pages that a user or a contributor reads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.helpers.places import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@dataclass(frozen=True)
class Block:
    """One fenced block: the path of its page in the repository, its first line, what it is, and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, also those in lists, in their order."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type == "fence":
            first, _ = token.map or (0, 0)
            yield Block(str(page.relative_to(ROOT)), first + 1, token.info.strip(), token.content)


def indented(page: Path) -> list[str]:
    """Return the text of each block that is code by its indentation alone, so that it has no language."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    return [token.content for token in tokens if token.type == "code_block"]


BLOCKS = [block for page in PAGES for block in blocks(page)]

_CAPITALS = re.compile(r"(?<![$\w{}./-])[A-Z][A-Z0-9_]{2,}\b(?!=)")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def placeholders(shell: str) -> list[str]:
    """Return what the reader would have to replace in a shell block: NAME, <name>, YOUR-NAME, dots.

    Capitals in quotes are data, such as a message; variables and settings are none.
    """
    code = re.sub(r"(^|\s)#.*", "", shell)
    found = re.findall(r"<[a-z][\w -]*>|…|\.\.\.|\bYOUR\W?\w*", code)
    return found + _CAPITALS.findall(_QUOTED.sub("", re.sub(r"-X [A-Z]+", "", code)))
