"""docs/licences.md: the packages of the image with torch, which only this environment has."""

from scripts import licences


def test_the_table_of_the_larger_image_is_up_to_date() -> None:
    page = licences.PAGE.read_text()
    assert licences.renewed(page, "cuda") == page
