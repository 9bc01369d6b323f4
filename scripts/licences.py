"""Writes docs/licences.md: the licence of every package that the images contain, and of the vendored code."""

import re
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from scripts.pages import between_markers

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
REQUIREMENTS = ROOT / "deploy" / "requirements"
SECTIONS = {"cpu": ("cluster", ()), "cuda": ("gpu", ("cluster",))}
"""By section of an image: the file of its packages, and the files whose packages stand in an earlier section."""

PAGES = "pages"
"""The section of the code of others that the pages of the server load."""
VENDORED = ROOT / "server" / "vendored" / "VENDORED.toml"

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
_PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "Unlicense",
        "Zlib",
    }
)
_SPDX = {
    "apache software license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "apache": "Apache-2.0",
    "mit license": "MIT",
    "mit": "MIT",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gplv2": "GPL-2.0",
    "other/proprietary license": "LicenseRef-NVIDIA-Proprietary",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
}
"""SPDX identifiers of the texts that packages name as their licence, in lower case."""
_UNSTATED = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "segment-anything": "Apache-2.0",
}
"""Packages whose metadata name no licence: that of the LICENSE file in their repository or wheel."""
NOTES = {
    "MPL-2.0": "unmodified; only changed files of the package itself would have to be published",
    "LGPL-3.0-only": "a separate package, which a user can replace; unmodified",
    "LGPL-3.0-or-later": "a separate package with the shared libraries of libvips; unmodified",
    "GPL-2.0": "HAProxy's program, which Ray Serve may start as a process of its own; nothing links it",
    "LicenseRef-NVIDIA-Proprietary": "NVIDIA's terms for CUDA; only in the image `cuda`, for use with NVIDIA GPUs",
    "PSF-2.0": "permissive",
    "CNRI-Python": "permissive",
    "ISC": "permissive",
}
"""What follows from each licence that is not MIT, BSD or Apache; a new one needs a note here."""


class UnknownLicenceError(Exception):
    """A package has a licence about which nothing is noted, or none that is known."""


def pinned(name: str) -> list[str]:
    """Return the names of the packages in a file of deploy/requirements, each once, in order."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    return sorted(set(_PINNED.findall(text)))


def section_packages(section: str) -> list[str]:
    """Return the names of the packages of a section of the page."""
    name, earlier = SECTIONS[section]
    known = {package for one in earlier for package in pinned(one)}
    return [package for package in pinned(name) if package not in known]


def licence_of(package: str) -> str:
    """Return the SPDX expression of an installed package's licence.

    Raises PackageNotFoundError if it is not installed, and UnknownLicenceError if its metadata name none that is
    known here.
    """
    found = metadata(package)
    if "License-Expression" in found:
        return found["License-Expression"]
    stated = [
        classifier.rpartition(" :: ")[2]
        for classifier in found.get_all("Classifier") or []
        if classifier.startswith("License :: ")
    ]
    if "License" in found:
        stated.append(found["License"].partition("\n")[0].strip())
    known = [_SPDX.get(text.lower(), text if _is_spdx(text) else "") for text in stated]
    licences = dict.fromkeys(one for one in known if one)
    if not licences and package in _UNSTATED:
        return _UNSTATED[package]
    if not licences:
        raise UnknownLicenceError(f"{package}: no known licence in {stated}")
    return " AND ".join(licences)


def _is_spdx(text: str) -> bool:
    """Whether a text is an expression of licences that are known here."""
    words = _identifiers(text)
    return bool(words) and all(word in NOTES or is_permissive(word) for word in words)


def _identifiers(expression: str) -> list[str]:
    """Return the licences of an SPDX expression. An exception (WITH) only permits more."""
    without_exceptions = re.sub(r" WITH [^ ()]+", "", expression)
    words = re.split(r"[() ]+", without_exceptions)
    return [word for word in words if word not in ("", "AND", "OR")]


def is_permissive(licence: str) -> bool:
    """Whether a licence, as an SPDX identifier, is MIT, BSD, Apache or asks for even less."""
    return licence in _PERMISSIVE


def note_on(licence: str) -> str:
    """Return what follows from a licence; empty for MIT, BSD and Apache. Raises UnknownLicenceError."""
    notes: list[str] = []
    for word in _identifiers(licence):
        if word in NOTES:
            notes.append(NOTES[word])
        elif not is_permissive(word):
            raise UnknownLicenceError(f"{word} needs a note in scripts/licences.py")
    return "; ".join(dict.fromkeys(notes))


def table(packages: Sequence[str]) -> str:
    """Return the table of installed packages; raises PackageNotFoundError, UnknownLicenceError."""
    rows = ["| package | licence | note |", "|---|---|---|"]
    for package in packages:
        licence = licence_of(package)
        rows.append(f"| {package} | {licence} | {note_on(licence)} |")
    return "\n".join(rows)


def vendored_table() -> str:
    """Return the table of the code of others that the pages of the server load; raises UnknownLicenceError."""
    listed = tomllib.loads(VENDORED.read_text())["package"]
    rows = ["| package | version | licence | note |", "|---|---|---|---|"]
    for one in sorted(listed, key=lambda one: str(one["name"])):
        licence = one["licence"]
        rows.append(f"| {one['name']} | {one['version']} | {licence} | {note_on(licence)} |")
    return "\n".join(rows)


def renewed(page: str, section: str) -> str:
    """Return the page with the table of a section made again, that of an image from the installed packages."""
    rows = vendored_table() if section == PAGES else table(section_packages(section))
    return between_markers(page, rows, f"<!-- {section}: begin -->", f"<!-- {section}: end -->")


def main() -> int:
    """Renew the sections whose packages are all installed; return the exit status."""
    page = renewed(PAGE.read_text(), PAGES)
    for section in SECTIONS:
        try:
            page = renewed(page, section)
            print(f"{section}: {len(section_packages(section))} packages")
        except PackageNotFoundError as error:
            print(f"{section}: left as it is, {error.name} is not installed here")
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
