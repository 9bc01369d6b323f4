"""Builds the documentation site; `scripts/site` runs it.

It stages the pages, lets Zensical build them strictly, and checks the built pages: every link leads to a page and
a heading, every page is in the navigation, and nothing is loaded from another host.
"""

import argparse
import functools
import http.server
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.documentation.check import problems
from scripts.documentation.route_pages import FOLDER as OPERATIONS
from scripts.documentation.route_pages import write_pages
from scripts.documentation.stage import numbered, stage, title

ROOT = Path(__file__).resolve().parents[1]
_PORT = 8001
_BUILD_LIMIT_S = 300


class SiteError(Exception):
    """The site could not be built. The text says what is wrong."""


def main(arguments: Sequence[str]) -> int:
    """Build the site, and serve it with --serve; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/site", description=__doc__)
    parser.add_argument("--serve", action="store_true", help=f"serve it on port {_PORT} afterwards")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="where it is built")
    options = parser.parse_args(arguments)
    try:
        site = build(options.folder.absolute())
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The site is in {site}.")
    if options.serve:
        _serve(site)
    return 0


def build(folder: Path) -> Path:
    """Build the site below a folder and return where it is; raises SiteError if anything is wrong."""
    source, site = folder / "site-source", folder / "site"
    pages = stage(ROOT, source)
    operations = write_pages(ROOT, source)
    pages += [page for group in operations.values() for page in group]
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    config |= {"docs_dir": source.name, "site_dir": site.name}
    config["nav"] = navigation(config["nav"], source, operations)
    outside = sorted(set(pages) - set(_paths(config["nav"])))
    if outside:
        raise SiteError(f"not in the navigation of mkdocs.yml: {', '.join(outside)}")
    file = folder / "mkdocs.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    try:
        done = subprocess.run(  # noqa: S603 - our own environment
            [*command, "--config-file", str(file)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_BUILD_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise SiteError(f"Zensical has not ended within {_BUILD_LIMIT_S} s") from None
    if done.returncode:
        raise SiteError(_readable(done.stdout))
    if wrong := problems(site):
        raise SiteError("\n".join(wrong))
    return site


def navigation(nav: list[Any], source: Path, operations: Mapping[str, list[str]]) -> list[Any]:
    """Return a navigation in which folders are replaced by their pages, the index first.

    operations: their pages by group.
    """
    return [_expanded(entry, source, operations) for entry in nav]


def _expanded(entry: Any, source: Path, operations: Mapping[str, list[str]]) -> Any:
    if isinstance(entry, str):
        return entry
    ((name, target),) = entry.items()
    if isinstance(target, list):
        return {name: navigation(target, source, operations)}
    if target == f"{OPERATIONS}/":
        groups = [{group: pages} for group, pages in operations.items() if group]
        return {name: [*operations[""], *groups]}
    if not target.endswith("/"):
        return entry
    pages = [{title(page): f"{target}{page.name}"} for page in numbered(source / target)]
    return {name: [f"{target}index.md", *pages]}


def _paths(nav: list[Any]) -> list[str]:
    """Return the pages of a navigation."""
    found: list[str] = []
    for entry in nav:
        target = entry if isinstance(entry, str) else next(iter(entry.values()))
        found += [target] if isinstance(target, str) else _paths(target)
    return found


def _readable(output: str) -> str:
    """Return what Zensical printed, without colours and the traceback that strict mode ends with."""
    return re.sub(r"\x1b\[[\d;]*m", "", output).partition("Traceback (most recent call last)")[0]


def _serve(site: Path) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", _PORT), handler) as server:
        print(f"http://127.0.0.1:{_PORT}/ - stop with Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
