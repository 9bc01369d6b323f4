"""Stages the pages of the site: copies them, points their links at each other, and fits lists to Python-Markdown.

On GitHub the same files are read where they are, so nothing in them is made for the site alone.
"""

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changelog.md",
}
"""The pages of the root, and their paths in the site."""
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_PARSER = MarkdownIt("commonmark").enable("table")


def stage(root: Path, target: Path) -> list[str]:
    """Copy the pages and pictures of a checkout into an empty folder; return the paths of the pages there."""
    shutil.rmtree(target, ignore_errors=True)
    docs = root / "docs"
    shutil.copytree(docs, target, ignore=shutil.ignore_patterns("*.md"))
    pages = {name: site for name, site in ROOT_PAGES.items() if (root / name).exists()}
    pages |= {
        str(page.relative_to(root)): str(page.relative_to(docs)) for page in docs.rglob("*.md")
    }
    for source, site in pages.items():
        (target / site).parent.mkdir(parents=True, exist_ok=True)
        (target / site).write_text(site_page((root / source).read_text(), source, root))
    (target / "decisions" / "index.md").write_text(_decisions(target / "decisions"))
    return [*pages.values(), "decisions/index.md"]


def site_page(text: str, source: str, root: Path) -> str:
    """Return the text of a page as the site needs it. source: its path in the checkout."""
    fitted = fit_lists(text).splitlines()
    fenced = _fenced(fitted)
    lines = (
        line if number in fenced else _linked(line, source, root)
        for number, line in enumerate(fitted)
    )
    return "\n".join(lines) + "\n"


def fit_lists(text: str) -> str:
    """Return a page in which Python-Markdown finds the lists that CommonMark finds.

    It wants four spaces where CommonMark takes as many as the marker is wide, and an empty line above a list.
    """
    lines = text.splitlines()
    depth, indentation, starts = _list_items(text, len(lines))
    fitted: list[str] = []
    for number, line in enumerate(lines):
        levels = depth[number] - (number in starts)
        if depth[number] and line.strip():
            kept = line[indentation[number] :] if number not in starts else line.lstrip()
            below_text = bool(fitted and fitted[-1].strip()) and depth[number - 1] == 0
            if number in starts and levels == 0 and below_text:
                fitted.append("")
            line = "    " * levels + kept
        fitted.append(line)
    return "\n".join(fitted) + "\n"


def _list_items(text: str, count: int) -> tuple[list[int], list[int], set[int]]:
    """Return, by line, how many items it is in and how far their content is indented; and where items start."""
    depth, indentation, starts = [0] * count, [0] * count, set[int]()
    lines = text.splitlines()
    for token in _PARSER.parse(text):
        if token.type == "list_item_open" and token.map:
            first, end = token.map
            marker = re.match(r"\s*(?:[-*+]|\d+[.)])\s+", lines[first])
            for number in range(first, end):
                depth[number] += 1
                indentation[number] = len(marker[0]) if marker else 0
            starts.add(first)
    # Lazy lines of a paragraph may be indented less than its item.
    for number, line in enumerate(lines):
        indentation[number] = min(indentation[number], len(line) - len(line.lstrip()))
    return depth, indentation, starts


def _fenced(lines: list[str]) -> set[int]:
    """Return the numbers of the lines in blocks of code."""
    found, fence = set[int](), ""
    for number, line in enumerate(lines):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if fence:
            found.add(number)
            if mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
        elif mark:
            found.add(number)
            fence = mark[1]
    return found


def _linked(line: str, source: str, root: Path) -> str:
    """Return a line whose links have targets in the site."""
    code = [match.span() for match in _INLINE_CODE.finditer(line)]

    def replaced(match: re.Match[str]) -> str:
        inside = any(start <= match.start() and match.end() <= end for start, end in code)
        return match[0] if inside else _link(match, source, root)

    return _LINK.sub(replaced, line)


def _link(match: re.Match[str], source: str, root: Path) -> str:
    picture, text, address = match.groups()
    if picture == "" and "](" in text:  # a picture that is a link
        text = _LINK.sub(lambda inner: _link(inner, source, root), text)
    if re.match(r"[a-z][a-z0-9+.-]*:|#", address):
        return f"{picture}[{text}]({address})"
    path, hash_, anchor = address.partition("#")
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    found = _in_site(wanted, root)
    if found is None:  # a file of the sources, which the site does not have
        return (
            text
            if text.startswith("`")
            else f"`{text}`"
            if text == wanted
            else f"{text} (`{wanted}`)"
        )
    here = posixpath.dirname(_in_site(source, root) or "")
    return f"{picture}[{text}]({posixpath.relpath(found, here or '.')}{hash_}{anchor})"


def _in_site(path: str, root: Path) -> str | None:
    """Return the path in the site of a file of the checkout; None if the site does not have it.

    Raises ValueError if there is no such file.
    """
    if not (root / path).exists():
        raise ValueError(f"a link leads to {path}, which does not exist")
    if path in ROOT_PAGES:
        return ROOT_PAGES[path]
    if not path.startswith("docs/"):
        return None
    inside = path.removeprefix("docs/")
    return f"{inside}/index.md" if (root / path).is_dir() else inside


def title(page: Path) -> str:
    """Return the title of a page: its first heading; raises ValueError without one."""
    for line in page.read_text().splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").replace("`", "").strip()
    raise ValueError(f"{page} has no heading")


def numbered(folder: Path) -> Iterator[Path]:
    """Yield the decisions in their order."""
    yield from sorted(folder.glob("[0-9]*.md"))


def _decisions(folder: Path) -> str:
    rows = [f"- [{title(page)}]({page.name})" for page in numbered(folder)]
    text = "Each page has one decision that others would ask about: what was chosen, and why."
    return "\n".join(["# Decisions", "", text, "", *rows, ""])
