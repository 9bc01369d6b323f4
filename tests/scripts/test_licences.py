"""docs/licences.md lists every package of the images with its licence, and what follows from unusual ones."""

import pytest

from scripts import licences
from scripts.licences import UnknownLicenceError, note_on


@pytest.mark.parametrize("section", [licences.PAGES, "cpu"])
def test_the_table_is_up_to_date(section: str) -> None:
    page = licences.PAGE.read_text()
    assert licences.renewed(page, section) == page
    assert "| MIT |" in licences.vendored_table()


@pytest.mark.parametrize("section", licences.SECTIONS)
def test_every_package_of_an_image_is_listed_once(section: str) -> None:
    page = licences.PAGE.read_text()
    table = page.partition(f"<!-- {section}: begin -->")[2].partition(f"<!-- {section}: end -->")[0]
    listed = [row.split(" | ")[0].removeprefix("| ") for row in table.strip().splitlines()[2:]]
    assert listed == licences.section_packages(section)


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("MIT", ""),
        ("Apache-2.0 WITH LLVM-exception", ""),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", ""),
        ("LGPL-3.0-only", "replace"),
        ("MPL-2.0 AND MIT", "changed files"),
    ],
)
def test_only_unusual_licences_have_a_note(licence: str, words: str) -> None:
    assert words in note_on(licence)
    assert bool(note_on(licence)) == bool(words)


@pytest.mark.parametrize("licence", ["AGPL-3.0-only", "MIT AND SSPL-1.0"])
def test_a_licence_without_a_note_is_refused(licence: str) -> None:
    with pytest.raises(UnknownLicenceError, match="needs a note"):
        note_on(licence)
