"""The pages of operations: every route and field is on one, and the examples are programs of their languages."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.common.resolution import RESOLUTIONS
from scripts.documentation.availability import PROFILES, profiles_of, works_in_lite
from scripts.documentation.fields import Document
from scripts.documentation.languages import ENDINGS, LANGUAGES
from scripts.documentation.more_operations import GROUPS
from scripts.documentation.operations import OperationPage
from scripts.documentation.route_pages import UnlistedRouteError, check_routes, index, page
from scripts.route_pictures import FOLDER, MAX_BYTES, is_pictured
from server.v1.resolutions import RESOLUTION_MEANING
from tests.helpers.places import ROOT

OPENAPI = json.loads((ROOT / "docs" / "openapi.json").read_text())
DOCUMENT = Document(OPENAPI)
ALL = [one for pages in GROUPS.values() for one in pages]
_NODE = """const { SourceTextModule } = require("vm"), { readFileSync } = require("fs");
const read = (file) => new SourceTextModule(readFileSync(file, "utf8"), { identifier: file });
process.argv.slice(1).forEach(read);"""
_PHP = (
    "foreach (array_slice($argv, 1) as $file) token_get_all(file_get_contents($file), TOKEN_PARSE);"
)
TOOLS = {
    "curl": ["sh", "-c", 'for file; do dash -n "$file" || exit 1; done', "sh"],
    "Python": [sys.executable, "-m", "py_compile"],
    "JavaScript": ["node", "--experimental-vm-modules", "--no-warnings", "-e", _NODE, "--"],
    "PHP": ["php", "-r", _PHP, "--"],
    "Go": ["gofmt", "-l"],
}
"""What fails for files that are no programs of a language. gofmt also names those that it would change."""


def checked(language: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """Return what the tool of a language says about files."""
    tool = TOOLS[language]
    if shutil.which(tool[0]) is None:
        if "CI" in os.environ and language != "Go":
            pytest.fail(f"{tool[0]} is missing: .ci/run installs it")
        pytest.skip(f"{tool[0]} is not installed")
    return subprocess.run([*tool, *files], capture_output=True, text=True, timeout=120)


def slug(one: OperationPage) -> str:
    return one.slug


def test_every_route_is_on_one_page() -> None:
    check_routes(DOCUMENT)
    assert len({one.slug for one in ALL}) == len(ALL)
    assert all(f"({one.slug}.md)" in index() for one in ALL)


def test_a_route_without_a_page_fails() -> None:
    paths = {**OPENAPI["paths"], "/v2/image/edit/new": {"post": {}}}
    with pytest.raises(UnlistedRouteError, match="POST /v2/image/edit/new: give it a page"):
        check_routes(Document({**OPENAPI, "paths": paths}))


@pytest.mark.parametrize("one", ALL, ids=slug)
def test_a_page_has_every_field_with_its_meaning_and_every_code(one: OperationPage) -> None:
    text = page(one, DOCUMENT, has_picture=False)
    for route in one.routes:
        _, _, section = text.partition(f"### `{route}`\n")
        for field in DOCUMENT.fields(route):
            row = f"| {field.name} | {field.type} | {field.default} | {field.range} | {field.meaning} |"
            assert row in section
            assert field.type, field.name
            assert field.meaning, f"{route}: {field.name} has no description"
        for code in DOCUMENT.codes(route):
            assert f"| [{code}](../errors.md#" in text


def test_fields_have_their_default_range_and_type() -> None:
    fields = {field.name: field for field in DOCUMENT.fields("POST /v2/image/edit/expand")}
    canvas = fields["`canvas_size`"]
    assert canvas.type == "list of whole numbers"
    assert canvas.default == "`[1000, 1000]`"
    assert canvas.range == "2 values, each 1 to 67,108,864"
    assert fields["`image`"].default == "required"
    assert fields["`seed`"].range == "64 bits"
    assert fields["`sync`"].default == "`false`"
    assert "`9:16`" in fields["`aspect_ratio`"].range


def test_the_named_resolutions_are_those_of_the_pipelines() -> None:
    named = re.findall(r"(\w+) (\d+) x (\d+)", RESOLUTION_MEANING)
    assert {name: (int(width), int(height)) for name, width, height in named} == RESOLUTIONS


def test_a_page_says_in_which_profiles_a_route_works() -> None:
    assert profiles_of("POST /v1/crop") == PROFILES
    assert profiles_of("POST /v1/gen_fill") == ("sdxl", "open", "studio", "bria")
    assert profiles_of("GET /v1/{visual_id}/caption") == ("cpu", "sdxl", "open", "studio", "bria")
    (fill,) = (one for one in ALL if one.slug == "generative-fill")
    assert "| `POST /v1/gen_fill` | 506 | 506 | yes | yes | yes | yes |" in page(
        fill, DOCUMENT, False
    )
    assert fill.example is not None
    assert not works_in_lite(fill.example)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_are_programs(language: str, tmp_path: Path) -> None:
    files = []
    for one in (one for one in ALL if one.example):
        files.append(tmp_path / f"{one.slug}.{ENDINGS[language]}")
        files[-1].write_text(LANGUAGES[language][1](one.example) + "\n")
    assert len(files) > 40
    done = checked(language, files)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    files[0].write_text(files[0].read_text() + "((")
    assert checked(language, files).returncode != 0


def test_the_pages_have_the_pictures_that_lite_makes_and_no_others() -> None:
    wanted = {one.slug for one in ALL if one.example and is_pictured(one.example)}
    assert {file.stem for file in FOLDER.iterdir()} == wanted
    assert all(file.stat().st_size <= MAX_BYTES for file in FOLDER.iterdir())
    assert len(wanted) > 12
