"""The documentation site: it builds strictly, reads without a network, and what is wrong with it is found."""

from pathlib import Path

import pytest

from scripts import site
from scripts.documentation.check import problems
from scripts.documentation.stage import fit_lists, site_page
from tests.helpers.places import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this checkout."""
    return site.build(tmp_path_factory.mktemp("site"))


@pytest.mark.slow
def test_the_site_has_every_page_and_loads_nothing_from_elsewhere(built: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (built / name).is_file(), name
    assert "cutout.png" in (built / "index.html").read_text()
    assert (built / "openapi.json").read_bytes() == (ROOT / "docs" / "openapi.json").read_bytes()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two pages."""
    folder = tmp_path / "checkout"
    (folder / "docs" / "decisions").mkdir(parents=True)
    (folder / "docs" / "one.md").write_text("# One\n\n[Two](two.md#more), [code](../code.py)\n")
    (folder / "docs" / "two.md").write_text("# Two\n\n## More\n")
    (folder / "code.py").touch()
    (folder / "README.md").write_text("# Small\n")
    (folder / "mkdocs.yml").write_text(
        (ROOT / "mkdocs.yml").read_text().partition("nav:")[0]
        + "nav:\n  - index.md\n  - one.md\n  - two.md\n  - Decisions: decisions/\n"
    )
    return folder


def build(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(site, "ROOT", checkout)
    monkeypatch.setattr(site, "write_pages", lambda root, source: {})
    (checkout / "build").mkdir()
    return site.build(checkout / "build")


@pytest.mark.slow
def test_a_small_site_is_built(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (build(checkout, monkeypatch) / "one.html").read_text()
    assert 'href="two.html#more"' in page
    assert "code (<code>code.py</code>)" in page


def test_a_page_outside_of_the_navigation_fails(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "docs" / "three.md").write_text("# Three\n")
    with pytest.raises(site.SiteError, match=r"navigation of mkdocs.yml: three\.md"):
        build(checkout, monkeypatch)


@pytest.mark.slow
def test_a_link_to_a_missing_heading_fails(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "docs" / "two.md").write_text("# Two\n\n## Less\n")
    with pytest.raises(site.SiteError, match=r"(?s)anchor does not exist.*two\.md#more"):
        build(checkout, monkeypatch)


@pytest.mark.slow
def test_a_page_of_the_navigation_that_is_missing_fails(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "docs" / "one.md").write_text("# One\n")
    (checkout / "docs" / "two.md").unlink()
    with pytest.raises(site.SiteError):
        build(checkout, monkeypatch)


def test_a_link_to_a_missing_file_fails(checkout: Path) -> None:
    with pytest.raises(ValueError, match=r"docs/gone\.md"):
        site_page("[Gone](gone.md)", "docs/one.md", checkout)


def test_links_lead_from_every_place_to_every_place(checkout: Path) -> None:
    (checkout / "docs" / "decisions" / "0001-a.md").touch()

    def linked(text: str, source: str) -> str:
        return site_page(text, source, checkout).strip()

    assert linked("[One](docs/one.md#a)", "README.md") == "[One](one.md#a)"
    assert linked("[it](../README.md)", "docs/one.md") == "[it](index.md)"
    assert linked("[it](../../README.md)", "docs/decisions/0001-a.md") == "[it](../index.md)"
    assert linked("[all](docs/decisions/)", "README.md") == "[all](decisions/index.md)"
    assert linked("[a](https://a.example/b)", "README.md") == "[a](https://a.example/b)"
    assert linked("`[One](docs/one.md)`", "README.md") == "`[One](docs/one.md)`"
    assert linked("```\n[One](docs/one.md)\n```", "README.md") == "```\n[One](docs/one.md)\n```"


def test_lists_are_fitted_to_python_markdown() -> None:
    text = "Text:\n- a\n  more\n- b\n\n1. one\n\n   ```sh\n   ls\n   ```\n\n   - inner\n2. two\n"
    assert fit_lists(text) == (
        "Text:\n\n- a\n    more\n- b\n\n1. one\n\n    ```sh\n    ls\n    ```\n\n    - inner\n2. two\n"
    )


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "loads https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="//fonts.example/a">', "loads //fonts.example/a"),
        ('<img src="https://a.example/a.png" alt="">', "loads https://a.example/a.png"),
        ("<p style=\"background: url('https://a.example/b')\">", "loads https://a.example/b"),
        ('<img src="gone.png" alt="">', "gone.png does not exist"),
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<a href="#gone">x</a>', "#gone has no such heading"),
        ('<img src="page.html">', "page.html has no alt"),
    ],
)
def test_what_is_wrong_with_a_built_page_is_found(html: str, problem: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<h1 id="here">A</h1> <a href="#here">A</a> <a href="https://a.example">B</a>')
    assert problems(tmp_path) == []
    page.write_text(html)
    assert problems(tmp_path) == [f"page.html: {problem}"]


def test_a_stylesheet_that_loads_a_font_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://fonts.example/f.css'; a { src: url(f.woff) }")
    assert problems(tmp_path) == ["a.css: loads https://fonts.example/f.css"]
