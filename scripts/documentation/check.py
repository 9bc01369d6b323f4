"""Checks a built site: links and their anchors, pictures, and that nothing is loaded from another host."""

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("link", "href"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
    ("video", "poster"),
}
"""What a browser loads by itself; an <a> is only followed by its reader."""
_NOT_LOADED = {"canonical", "edit", "next", "prev", "alternate"}
"""Relations of <link> that a browser does not load."""
_CSS_ADDRESS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@dataclass
class _Page(HTMLParser):
    """The links, loaded addresses and anchors of a page."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    without_text: list[str] = field(default_factory=list)
    """Pictures without the attribute alt."""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "img" and "alt" not in values:
            self.without_text.append(values.get("src", ""))
        if "style" in values:
            self.loaded += _in_css(values["style"])
        if tag == "link" and set(values.get("rel", "").split()) & _NOT_LOADED:
            return
        for name, value in values.items():
            if (tag, name) in _LOADS:
                self.loaded.append(value.split()[0] if value else "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, one line each."""
    files = {str(file) for file in site.rglob("*") if file.is_file()}
    pages = {page: _read(Path(page)) for page in sorted(files) if page.endswith(".html")}
    found = [
        f"{os.path.relpath(page, site)}: {problem}"
        for page in pages
        for problem in _of_page(page, pages, files)
    ]
    for sheet in sorted(site.rglob("*.css")):
        found += [
            f"{sheet.relative_to(site)}: loads {address}"
            for address in _in_css(sheet.read_text())
            if _is_foreign(address)
        ]
    return found


def _read(page: Path) -> _Page:
    parser = _Page()
    parser.feed(page.read_text())
    parser.close()
    return parser


def _of_page(page: str, pages: dict[str, _Page], files: set[str]) -> Iterator[str]:
    read, folder = pages[page], posixpath.dirname(page)
    yield from (f"loads {address}" for address in read.loaded if _is_foreign(address))
    yield from (f"{address} has no alt" for address in read.without_text)
    if (
        posixpath.basename(page) == "404.html"
    ):  # shown below any address, so its links are none of a file
        return
    for address in dict.fromkeys([*read.links, *read.loaded]):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        path = unquote(parts.path)
        target = posixpath.normpath(posixpath.join(folder, path)) if path else page
        if target not in files:
            target = f"{target}/index.html"
        if target not in files:
            yield f"{address} does not exist"
        elif parts.fragment and target in pages and not _has(pages[target], parts.fragment):
            yield f"{address} has no such heading"


def _has(page: _Page, fragment: str) -> bool:
    return unquote(fragment) in page.anchors or fragment.startswith("__")  # the theme's own


def _in_css(text: str) -> list[str]:
    return [first or second for first, second in _CSS_ADDRESS.findall(text)]


def _is_foreign(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")
